"""Texts of pairs: made once, stored beside the data as ``texts.json``, so that anybody can read what was learned from.

{"scene_00000/000000": [{"text": "Night street. A person ahead at 8 m.", "names": ["person"], "kind": "caption"}, ...]}

``names`` are the classes that the text makes stand out; ``kind`` is ``caption`` (both captions of the pair, as
guidance_node sends them), ``description`` (from the simulator), or ``prompt`` (what a person may ask for, whether it
is there or not).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ldfusion_models.errors import InputError
from ldfusion_models.language.captions import caption, read_caption
from ldfusion_models.language.facts import Facts
from ldfusion_models.language.guidance import PairCaptioner
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.language.facts import CLASSES, MOVING, mentions_of, most_telling, place_of
from ldfusion_training.language.wording import SURFACES, reword
from ldfusion_training.report.tables import write_text

FILE = 'texts.json'
PROMPTS_OF_PAIR = 8
# How often a prompt names what is there.
PRESENT = 0.8
SURFACE_NAMES = tuple(sorted({name for names in SURFACES.values() for name in names}))


@dataclass(frozen=True)
class PairText:
    """A text on a pair; see the module."""

    text: str
    names: tuple[str, ...]
    kind: str


def make_texts(frame: SimulatedFrame, captioner: PairCaptioner | None, seed: int) -> list[PairText]:
    """All texts of a simulated frame: its caption, its description, and prompts; see ``write_texts``."""
    described = frame.read_text()
    seen = {str(each['class']) for each in described['objects']}
    if captioner:
        captions = captioner(frame.read_visible(), frame.read_thermal(), frame.visible_camera.fx).text
    else:
        mentions = [each for each in mentions_of(described['objects']) if each.name in CLASSES]
        facts = Facts(place_of(frame.kind), frame.light, frame.weather, tuple(most_telling(mentions)))
        captions = f'{caption(facts, thermal=False)} {caption(facts, thermal=True)}'
    named = {mention.name for mention in read_caption(captions).mentions}
    texts = [
        PairText(captions, tuple(sorted(named)), 'caption'),
        PairText(described['text'], named_in(described['text'], seen), 'description'),
    ]
    random = np.random.default_rng(seed)
    surfaces = SURFACES[place_of(frame.kind)]
    return texts + [_prompt(random, sorted(seen & set(CLASSES)), surfaces) for _ in range(PROMPTS_OF_PAIR)]


def prompts_about_people(seed: int) -> list[PairText]:
    """Prompts on a pair of which only the people are known: half are about people, the others about anything else."""
    random = np.random.default_rng(seed)
    others = [name for name in (*CLASSES, *SURFACE_NAMES) if name != 'person']
    topics = [
        'person' if number % 2 else str(others[int(random.integers(len(others)))]) for number in range(PROMPTS_OF_PAIR)
    ]
    return [PairText(reword(random, Facts(topics=(topic,))), (topic,), 'prompt') for topic in topics]


def named_in(text: str, classes: set[str]) -> tuple[str, ...]:
    """Those of ``classes`` that a description names."""
    singular = text.lower().replace('people', 'person')
    return tuple(sorted(name for name in classes if name in singular))


def _prompt(random: np.random.Generator, present: Sequence[str], surfaces: Sequence[str]) -> PairText:
    """A prompt with one topic or two, often people and vehicles, sometimes nothing that is there."""
    moving = [name for name in present if name in MOVING]
    there = [*present, *surfaces]
    everything = [*CLASSES, *SURFACE_NAMES]

    def topic() -> str:
        pool = (moving if moving and random.random() < 0.5 else there) if random.random() < PRESENT else everything
        return str(pool[int(random.integers(len(pool)))])

    topics = tuple(dict.fromkeys(topic() for _ in range(1 if random.random() < 0.8 else 2)))
    return PairText(reword(random, Facts(topics=topics)), topics, 'prompt')


def write_texts(
    folder: Path, frames: Sequence[SimulatedFrame], captioner: PairCaptioner | None, progress: Callable[[], object]
) -> Path:
    """Write the texts of all frames beside them; returns the file.

    Without captioner, captions say in its form what the labels tell: what a perfect captioner would say.
    """
    content = {}
    for number, frame in enumerate(frames):
        content[frame.name] = [asdict(text) for text in make_texts(frame, captioner, number)]
        progress()
    write_text(folder / FILE, json.dumps(content, indent=1))
    return folder / FILE


def read_texts(folder: Path) -> dict[str, list[PairText]]:
    """The texts of a data set by the names of its frames.

    Raises:
        InputError: there are none, or the file is damaged.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        return {
            name: [PairText(str(each['text']), tuple(each['names']), str(each['kind'])) for each in texts]
            for name, texts in content.items()
        }
    except OSError as error:
        raise InputError(f'{path}: no such file; write it with ldfusion caption --dataset {folder}') from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f'{path}: damaged; write it again with ldfusion caption --dataset {folder}') from error
