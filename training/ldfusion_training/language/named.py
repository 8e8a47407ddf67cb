"""What texts name: in simulated frames, and made up, for stage ``modulation`` to learn from."""

from collections.abc import Sequence

import numpy as np

from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.language.facts import CLASSES, MOVING, mentions_of, most_telling
from ldfusion_training.language.wording import NOUNS, SURFACE_WORDS, SURFACES, one

SURFACE_NAMES = tuple(sorted({name for names in SURFACES.values() for name in names}))


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
    everything = (*CLASSES, *SURFACE_NAMES)

    def draw() -> tuple[str, ...]:
        # Of one thing as often as of several.
        most = int(random.choice((1, 1, 1, 2, 3, 4)))
        return tuple(sorted({one(random, MOVING if random.random() < 0.5 else everything) for _ in range(most)}))

    return [draw() for _ in range(count)]
