"""What captions of real pairs tell rightly, against what somebody saw in them (``real_pairs.json``)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ldfusion_models.errors import InputError
from ldfusion_models.language.facts import Facts, Mention
from ldfusion_models.language.guidance import Captions, PairCaptioner
from ldfusion_training.data.pairs import Pair
from ldfusion_training.evaluation.downstream.average_precision import Values, bootstrap, overlaps
from ldfusion_training.language.real_pairs import IGNORE, LabelledPair, SeenPair
from ldfusion_training.language.teacher_labels import overlap
from ldfusion_training.report.tables import markdown_table

# Classes that a caption may take for each other.
VEHICLES = {'car', 'truck', 'bus', 'trailer', 'tricycle'}
CYCLES = {'bicycle', 'motorcycle'}
# Boxes that overlap by so much are one thing; a told thing that lies so far in an ignored region does not count.
ONE_THING, INSIDE = 0.4, 0.5


@dataclass(frozen=True)
class PairScore:
    """One pair.

    Attributes:
        wanted, found: by class, objects that are plain to see, and those of them that are told.
        told, right, sides: things told, those that are there, and those of them on the right side.
        place_right, light_right: whether what is told is right; None if nothing was told.
    """

    name: str
    wanted: Counter[str]
    found: Counter[str]
    told: int
    right: int
    sides: int
    place_right: bool | None
    light_right: bool | None


def describe_pairs(
    pairs: Sequence[LabelledPair], captioner: PairCaptioner, progress: Callable[[], object] = lambda: None
) -> list[tuple[Pair, Captions]]:
    """The images of labelled pairs and their captions; raises InputError for unreadable images."""
    described = []
    for labelled in pairs:
        images = labelled.source.read()
        described.append((images, captioner(images.visible, images.thermal)))
        progress()
    return described


def score_pair(pair: SeenPair, captions: Captions) -> PairScore:
    """Compare what both cameras tell with what is there; aligned images, so that one thing told twice counts once."""
    told = united(captions)
    boxes = [_pixels(each, pair.size) for each in told]
    truth = [each for each in pair.objects if kind_of(each.name) and each.name != IGNORE]
    ignored = np.array([each.box for each in pair.objects if each.name == IGNORE], float).reshape(-1, 4)
    free = set(range(len(truth)))
    right = sides = counted = 0
    found = Counter[str]()
    for mention, box in sorted(zip(told, boxes, strict=True), key=lambda each: -each[0].score):
        near = [(overlap(box, truth[i].box), i) for i in free if kind_of(truth[i].name) == kind_of(mention.name)]
        share, index = max(near, default=(0.0, -1))
        if share >= ONE_THING:
            free.remove(index)
            right += 1
            sides += mention.side == truth[index].where
            found[truth[index].name] += not truth[index].difficult
        elif overlaps(np.array([box]), ignored, of_first=True).max(initial=0.0) > INSIDE:
            continue
        counted += 1
    facts = captions.visible.facts or Facts()
    wanted = Counter(each.name for each in truth if not each.difficult)
    place, light = (
        said == true if said else None for said, true in ((facts.place, pair.place), (facts.light, pair.light))
    )
    return PairScore(pair.name, wanted, +found, counted, right, sides, place, light)


def united(captions: Captions) -> list[Mention]:
    """The people and vehicles that either camera tells, surest first."""
    facts = [each.facts for each in (captions.visible, captions.thermal)]
    if None in facts:
        raise InputError('this captioner tells no facts; measure the embedded one')
    every = [each for one in facts if one for each in one.mentions if kind_of(each.name)]
    kept: list[Mention] = []
    for mention in sorted(every, key=lambda each: -each.score):
        same = (each for each in kept if kind_of(each.name) == kind_of(mention.name))
        if all(overlap(each.box, mention.box) < ONE_THING for each in same):
            kept.append(mention)
    return kept


def kind_of(name: str) -> str:
    """Person, vehicle or cycle; empty for what is not counted."""
    return 'vehicle' if name in VEHICLES else 'cycle' if name in CYCLES else name if name == 'person' else ''


def summary(scores: Sequence[PairScore]) -> dict[str, float]:
    """Recall and precision with 95 % intervals over pairs, recall by class, sides, place and light."""
    table = np.array([[s.found.total(), s.wanted.total(), s.right, s.told] for s in scores], float)
    values = {}
    for name, top, bottom in (('recall', 0, 1), ('precision', 2, 3)):
        values[name] = _share(table[:, top].sum(), table[:, bottom].sum())
        low, high = bootstrap(len(scores), partial(_drawn_share, table[:, top], table[:, bottom]))
        values |= {f'{name} low': low, f'{name} high': high}
    wanted, found = (sum((getattr(s, name) for s in scores), Counter[str]()) for name in ('wanted', 'found'))
    values |= {f'recall of {name}': _share(found[name], count) for name, count in sorted(wanted.items())}
    values['side'] = _share(sum(s.sides for s in scores), table[:, 2].sum())
    for name in ('place', 'light'):
        told = [right for s in scores if (right := getattr(s, f'{name}_right')) is not None]
        values |= {name: _share(sum(told), len(told)), f'{name} told': len(told) / len(scores)}
    return values


def report(values: dict[str, float], count: int) -> str:
    """Markdown."""
    rows: list[list[str | float]] = [[name, value] for name, value in values.items()]
    return markdown_table([f'{count} pairs', 'value'], rows)


def _pixels(mention: Mention, size: tuple[int, int]) -> tuple[float, ...]:
    return tuple(value * size[number % 2] for number, value in enumerate(mention.box))


def _drawn_share(part: Values, whole: Values, times: Values) -> float:
    return _share(float(times @ part), float(times @ whole))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float('nan')
