"""Text of others as it may be shown: names of files, topics and frames, encodings, captions.

HTML pages are escaped by their templates, JSON by itself; these are for terminals, logs and Markdown.
"""

MARKDOWN = str.maketrans({each: f'\\{each}' for each in '\\`|[]'} | {'<': '&lt;'})


def one_line(text: object) -> str:
    r"""Words with single blanks between, and nothing that a terminal obeys or that turns the direction of text.

    What can't be printed is shown as its escape, such as ``\x1b``.
    """
    words = ' '.join(str(text).split())
    return ''.join(each if each.isprintable() else ascii(each)[1:-1] for each in words)


def in_markdown(text: object) -> str:
    """As :func:`one_line`, and neither a cell's end nor a link, a picture, code or HTML."""
    return one_line(text).translate(MARKDOWN)
