"""Hostile names of files, topics and frames, wherever they are shown."""

import re

import pytest

from ldfusion_models.errors import InputError, naming
from ldfusion_models.shown import in_markdown, one_line
from ldfusion_training.report.tables import markdown_table

# A terminal's orders (clear, title, hyperlink), lines that pretend, text that runs backwards, half of a pair, NUL.
HOSTILE = [
    'bag\x1b[2J\x1b]0;owned\x07',
    'bag\x1b]8;;http://bad.example\x1b\\click',
    'bag\nldfusion: all is well\r\n',
    'bag\x9b2J\x85\u2028next',
    'gpj.\u202egab',
    'bag\ud800\x00\x7f',
]


@pytest.mark.parametrize('name', HOSTILE)
def test_errors_are_one_line_that_no_terminal_obeys(name: str) -> None:
    with pytest.raises(InputError) as raised, naming(name):
        raise InputError(f'{name}: no such topic')
    for text in (str(raised.value), one_line(name)):
        assert text.isprintable()
        assert 'bag' in text or '\\u202e' in text
    assert 'no such topic' in str(raised.value)


def test_harmless_names_stay_as_they_are() -> None:
    for name in ('/robot1/fusion_node', 'Straße_夜 (2).png', 'C:\\bags\\drive'):
        assert one_line(name) == name


@pytest.mark.parametrize('name', [*HOSTILE, 'a|b', '<img src=x onerror=alert(1)>', '![x](http://bad.example)', '`'])
def test_a_cell_of_a_table_stays_a_cell(name: str) -> None:
    """Between bars that are not escaped there are two cells, and nothing that makes a link, a picture or HTML."""
    *_, row = markdown_table(['name', name], [[name, 1.0]]).splitlines()
    assert len(re.findall(r'(?<!\\)\|', row)) == 3
    assert row.isprintable()
    assert not re.search(r'<|(?<!\\)[\[\]`]', row)
    assert in_markdown('a\\|b') == 'a\\\\\\|b'
