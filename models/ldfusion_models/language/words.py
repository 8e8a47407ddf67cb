"""Words that an encoder never learned, said in words that it knows."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.errors import InputError

# More than any context holds; a longer text is cut here, so that a book costs no more than a page.
LONGEST_TEXT = 4000
# Words between things: they name nothing themselves, and end a compound such as "office building".
LITTLE_WORDS = frozenset(
    """
    a about above after all an and any anything are around as at be before behind beside between but by can
    every everything find focus for from front give has have highlight i in into is it its look me more my near
    next of off on one or our out over please see should show some that the their there these thing things this
    those through to under up us watch we what where which with you your
    """.split()  # noqa: SIM905
)
NEGATION = re.compile(r"\b(?:no|not|without|except|never|neither|nor|ignore|don't)\b[^,.;:!?]*", re.IGNORECASE)
# Words, and signs such as emoji; blanks and punctuation part them.
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s!-/:-@\[-`{-~‐-⁞]")
ENDINGS = (("'s", ''), ('’s', ''), ('ies', 'y'), ('es', ''), ('s', ''))


@dataclass(frozen=True)
class Reading:
    """What an encoder is given of a text.

    Attributes:
        text: for the encoder; empty if it knows nothing of it.
        named: classes of things that it names, each by its own word, in the order of the list; empty for none.
        unknown: words without any effect.
        negated: parts that say what is not wanted, left out.
    """

    text: str
    named: str = ''
    unknown: tuple[str, ...] = ()
    negated: tuple[str, ...] = ()


def clean(text: str) -> str:
    """The text without control characters, with single spaces, at most ``LONGEST_TEXT`` characters long."""
    printable = (' ' if unicodedata.category(letter).startswith('C') else letter for letter in text[:LONGEST_TEXT])
    return ' '.join(''.join(printable).split())


def read_words(text: str, lexicon: Mapping[str, str], is_known: Callable[[str], bool]) -> Reading:
    """Say a text in words that the encoder knows.

    A text of known words alone stays as it is. Of others, what their nouns mean is named: in each run of words, the
    last one that means something, as the last word of an English compound says what it is.
    """
    negated = tuple(part.strip() for part in NEGATION.findall(text))
    kept = NEGATION.sub(',', text) if negated else text
    runs = [run for part in re.split(r'[,.;:!?]', kept) for run in _runs(WORD.findall(part))]
    words = [word for run in runs for word in run]
    meanings = {word: meaning_of(word, lexicon) for word in words}
    unknown = tuple(dict.fromkeys(word for word in words if not (meanings[word] or is_known(word))))
    known = [word for word in words if is_known(word)]
    heads = {next((meanings[word] for word in reversed(run) if meanings[word]), '') for run in runs}
    named = ' and '.join(name for name in dict.fromkeys(lexicon.values()) if name in heads)
    if all(is_known(word) for word in WORD.findall(kept)):
        return Reading(kept.strip(' ,') if words else '', named, unknown, negated)
    return Reading(named or ' '.join(known), named, unknown, negated)


def meaning_of(word: str, lexicon: Mapping[str, str]) -> str:
    """What a word or its singular means; a word with hyphens, what its last part means; empty if nothing."""
    word = word.lower()
    stems = [word, *(word.removesuffix(end) + instead for end, instead in ENDINGS if word.endswith(end))]
    found = next((lexicon[stem] for stem in stems if stem in lexicon), '')
    return found or (meaning_of(word.rpartition('-')[2], lexicon) if '-' in word else '')


def read_lexicon(path: Path) -> dict[str, str]:
    """Words and what they mean: a meaning a line, a colon, its words."""
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except OSError as error:
        raise InputError(f"{path}: the text encoder's words are missing; install the package again") from error
    parted = [line.partition(':') for line in lines]
    return {word: meaning for meaning, _, words in parted for word in words.split()}


def _runs(words: Iterable[str]) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for word in words:
        if word.lower() in LITTLE_WORDS:
            runs.append([])
        else:
            runs[-1].append(word)
    return [run for run in runs if run]
