"""What texts name: in simulated frames, and made up, for modulations to learn from."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ldfusion_models.graph.manifest import read_manifest
from ldfusion_models.language.facts import Facts
from ldfusion_models.language.text import PART, WORDS
from ldfusion_models.language.words import LITTLE_WORDS, meaning_of, read_lexicon
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.language.facts import CLASSES, MOVING, mentions_of, most_telling
from ldfusion_training.language.wording import HELD_OUT, NOUNS, SURFACE_WORDS, SURFACES, one, reword

SURFACE_NAMES = tuple(sorted({name for names in SURFACES.values() for name in names}))
EVERYTHING = (*CLASSES, *SURFACE_NAMES)
# Of texts for another encoder: wordings of each thing, of several at once, and words of each meaning and of none.
WORDINGS, WORDINGS_OF_SEVERAL, WORDS_OF_MEANING, WORDS_OF_NONE = 16, 250, 30, 400
# Shorter tokens are mostly pieces of words.
SHORTEST_WORD = 4


def text_of(names: Sequence[str]) -> str:
    """A prompt for what is named."""
    return ' and '.join(NOUNS[name][1][0] if name in NOUNS else SURFACE_WORDS[name][0] for name in names)


def most_telling_names(frame: SimulatedFrame) -> tuple[str, ...]:
    """The classes that a perfect captioner would tell of a frame."""
    mentions = [each for each in mentions_of(frame.read_text()['objects']) if each.name in CLASSES]
    return tuple(sorted({each.name for each in most_telling(mentions)}))


def made_names(count: int, seed: int) -> list[tuple[str, ...]]:
    """What texts may name: one to four classes and surfaces, people and vehicles as often as all else together."""
    random = np.random.default_rng(seed)

    def draw() -> tuple[str, ...]:
        # Of one thing as often as of several.
        most = int(random.choice((1, 1, 1, 2, 3, 4)))
        return tuple(sorted({one(random, MOVING if random.random() < 0.5 else EVERYTHING) for _ in range(most)}))

    return [draw() for _ in range(count)]


def worded_names() -> dict[str, tuple[str, ...]]:
    """Texts as people write them, and what each names, for encoders that know English; always the same.

    Wordings of what may be named, and words: of those, the package's list says what they mean, or that it is nothing
    that can be named.
    """
    random = np.random.default_rng(0)
    names = [(name,) for name in EVERYTHING for _ in range(WORDINGS)] + made_names(WORDINGS_OF_SEVERAL, 0)
    texts = {reword(random, Facts(topics=each)): each for each in names}
    meanings, of_meaning = lexicon(), names_by_meaning()
    held_out = {word for wordings in HELD_OUT.values() for wording in wordings for word in wording.split()}
    words: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for word in _known_words():
        if word not in held_out:
            words[of_meaning.get(meaning_of(word, meanings), ())].append(word)
    for named, found in words.items():
        most = WORDS_OF_MEANING if named else WORDS_OF_NONE
        texts |= dict.fromkeys(found[:: max(1, len(found) // most)][:most], named)
    return texts


def lexicon() -> dict[str, str]:
    """The package's list of words and what they mean."""
    return read_lexicon(read_manifest().verify(PART, WORDS))


def names_by_meaning() -> dict[str, tuple[str, ...]]:
    """What each meaning of the list names."""
    return {text_of((name,)): (name,) for name in EVERYTHING}


def _known_words() -> list[str]:
    """English words, as far as they are tokens of CLIP, the most frequent first."""
    from open_clip import SimpleTokenizer

    whole = (token.removesuffix('</w>') for token in SimpleTokenizer().encoder if token.endswith('</w>'))
    words = (word for word in whole if word.isascii() and word.isalpha() and len(word) >= SHORTEST_WORD)
    return [word for word in words if word not in LITTLE_WORDS]
