"""How good captions and text embeddings are, on scenes that nobody has trained on."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.language.captions import read_caption
from ldfusion_models.language.facts import SIDES, Facts, Mention, groups_of, side_of
from ldfusion_training.language.facts import CLASSES, most_telling
from ldfusion_training.language.scenes import LabelledScene, facts_seen
from ldfusion_training.report.tables import markdown_table

# A mention is of an object if its distance is right within this factor, or within a metre and a half.
WITHIN_FACTOR, WITHIN_METRES = 1.5, 1.5


@dataclass(frozen=True)
class DescribedScene:
    """What one image shows: what a caption should tell, and all that it may tell."""

    wanted: Facts
    allowed: Facts


@dataclass(frozen=True)
class CaptionScores:
    """Measures over a set of captions; shares are from 0 to 1, NaN where nothing was counted.

    Attributes:
        recall: of the objects worth telling, those told (class right and distance near enough).
        precision: of the objects told, those that are there.
        side: of the objects told rightly, those on the right side.
        distance_m: median error of the distance in metres of an object told, against the nearest of its class.
        distance_share: the same, as a part of the distance.
        light, weather, place: share of captions that tell them right.
        recall_of, distance_m_of, distance_share_of: by class.
    """

    recall: float
    precision: float
    side: float
    distance_m: float
    distance_share: float
    light: float
    weather: float
    place: float
    recall_of: Mapping[str, float]
    distance_m_of: Mapping[str, float]
    distance_share_of: Mapping[str, float]


def truth_of(scene: LabelledScene, thermal: bool) -> DescribedScene:
    """The truth for one image of a scene."""
    seen = facts_seen(scene, thermal)
    wanted = Facts(seen.place, seen.light, seen.weather, tuple(most_telling(seen.mentions)))
    # An object that does not stand out from its surroundings is there all the same.
    everything = [
        Mention(each.name, _side_of(scene, each.instance), each.distance_m, each.warm) for each in scene.objects
    ]
    return DescribedScene(wanted, Facts(seen.place, seen.light, seen.weather, tuple(everything)))


def score_captions(truths: Sequence[DescribedScene], captions: Sequence[str]) -> CaptionScores:
    """Compare captions of the fixed form with the truth."""
    read = [read_caption(text) for text in captions]
    found, wanted, right, said = Counter[str](), Counter[str](), 0, 0
    sides: list[bool] = []
    errors: dict[str, list[tuple[float, float]]] = {}
    for truth, facts in zip(truths, read, strict=True):
        matches = match(facts.mentions, truth.allowed.mentions)
        right += len(matches)
        said += len(facts.mentions)
        sides += [facts.mentions[row].side == truth.allowed.mentions[column].side for row, column in matches]
        for mention in facts.mentions:
            nearest = _nearest(mention, truth.allowed.mentions)
            if nearest:
                error = abs(mention.distance_m - nearest)
                errors.setdefault(mention.name, []).append((error, error / nearest))
        wanted.update(each.name for each in truth.wanted.mentions)
        hits = match(truth.wanted.mentions, facts.mentions)
        found.update(truth.wanted.mentions[row].name for row, _ in hits)
    every = [pair for pairs in errors.values() for pair in pairs]
    pairs = list(zip(read, truths, strict=True))
    return CaptionScores(
        recall=_share(found.total(), wanted.total()),
        precision=_share(right, said),
        side=_share(sum(sides), len(sides)),
        distance_m=_median([metres for metres, _ in every]),
        distance_share=_median([share for _, share in every]),
        light=_right([(facts.light, truth.wanted.light) for facts, truth in pairs]),
        weather=_right([(facts.weather, truth.wanted.weather) for facts, truth in pairs]),
        place=_right([(facts.place, truth.wanted.place) for facts, truth in pairs]),
        recall_of={name: _share(found[name], wanted[name]) for name in CLASSES if wanted[name]},
        distance_m_of={name: _median([metres for metres, _ in pairs]) for name, pairs in errors.items()},
        distance_share_of={name: _median([share for _, share in pairs]) for name, pairs in errors.items()},
    )


def majority_facts(truths: Sequence[DescribedScene]) -> Facts:
    """What is right most often, whatever the image: the baseline that looks at nothing.

    It tells each class and side that at least a third of the captions should tell, at its median distance.
    """
    wanted = [truth.wanted for truth in truths]
    distances: dict[tuple[str, str], list[float]] = {}
    for facts in wanted:
        for group in groups_of(facts.mentions):
            distances.setdefault((group[0].name, group[0].side), []).append(group[0].distance_m)
    mentions = [
        Mention(name, side, float(np.median(values)))
        for (name, side), values in distances.items()
        if len(values) * 3 >= len(wanted)
    ]
    if not mentions:
        (name, side), values = max(distances.items(), key=lambda item: len(item[1]))
        mentions = [Mention(name, side, float(np.median(values)))]
    place = _commonest([facts.place for facts in wanted])
    light, weather = _commonest([facts.light for facts in wanted]), _commonest([facts.weather for facts in wanted])
    return Facts(place, light, weather, tuple(mentions))


def match(mentions: Sequence[Mention], objects: Sequence[Mention]) -> list[tuple[int, int]]:
    """Pairs (mention, object) of one class whose distances are near enough, each used once, nearest distances first."""
    candidates = [
        (abs(np.log(mention.distance_m / each.distance_m)), mention.side != each.side, row, column)
        for row, mention in enumerate(mentions)
        for column, each in enumerate(objects)
        if mention.name == each.name and _near_enough(mention.distance_m, each.distance_m)
    ]
    rows: set[int] = set()
    columns: set[int] = set()
    pairs = []
    # Of objects at about one distance, the one on the same side is meant.
    for _, _, row, column in sorted(candidates, key=lambda each: (round(each[0] * 5), each[1], each[0])):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            pairs.append((row, column))
    return pairs


def caption_report(scores: Mapping[str, CaptionScores]) -> str:
    """Markdown: one row for each source of captions, then classes."""
    header = ['captions', 'recall', 'precision', 'side', 'distance error, m', 'relative', 'light', 'weather', 'place']
    rows: list[list[str | float]] = [
        [name, s.recall, s.precision, s.side, s.distance_m, s.distance_share, s.light, s.weather, s.place]
        for name, s in scores.items()
    ]
    parts = [markdown_table(header, rows)]
    for name, each in scores.items():
        classes: list[list[str | float]] = [
            [kind, recall, each.distance_m_of.get(kind, float('nan')), each.distance_share_of.get(kind, float('nan'))]
            for kind, recall in each.recall_of.items()
        ]
        parts.append(markdown_table([name, 'recall', 'distance error, m', 'relative'], classes))
    return '\n\n'.join(parts)


@dataclass(frozen=True)
class RetrievalScores:
    """How texts lie in the space of embeddings.

    Attributes:
        paraphrase: mean similarity of two wordings of the same facts.
        changed: mean similarity of wordings that differ in this aspect.
        separated: share of facts whose other wording is nearer than the wording with this aspect changed.
        count: facts with this aspect.
    """

    paraphrase: float
    changed: float
    separated: float
    count: int


def score_aspect(
    encode: Callable[[Sequence[str]], npt.NDArray[np.float32]], triples: Sequence[tuple[str, str, str]]
) -> RetrievalScores:
    """Of triples: a text, another wording of it, a text with one aspect changed."""
    first, second, other = (encode([triple[column] for triple in triples]) for column in range(3))
    same, different = (first * second).sum(axis=1), (first * other).sum(axis=1)
    return RetrievalScores(float(same.mean()), float(different.mean()), float((same > different).mean()), len(triples))


def retrieval_rank(
    encode: Callable[[Sequence[str]], npt.NDArray[np.float32]], pairs: Sequence[tuple[str, str]]
) -> tuple[float, float]:
    """Share of texts whose other wording is the first, and among the first five, of all the other wordings."""
    first, second = (encode([pair[column] for pair in pairs]) for column in range(2))
    similarity = first @ second.T
    ranks = (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    return float((ranks < 1).mean()), float((ranks < 5).mean())


def as_json(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values."""
    return {name: dict(vars(each)) for name, each in scores.items()}


def _side_of(scene: LabelledScene, instance: int) -> str:
    columns = np.nonzero(scene.instances == instance)[1]
    return side_of(float(columns.mean()) / scene.instances.shape[1]) if len(columns) else SIDES[1]


def _near_enough(first: float, second: float) -> bool:
    return abs(first - second) <= WITHIN_METRES or max(first, second) <= WITHIN_FACTOR * min(first, second)


def _nearest(mention: Mention, objects: Sequence[Mention]) -> float | None:
    same = [each for each in objects if each.name == mention.name]
    beside = [each.distance_m for each in same if each.side == mention.side] or [each.distance_m for each in same]
    return min(beside, key=lambda distance: abs(distance - mention.distance_m), default=None)


def _right(pairs: Sequence[tuple[str, str]]) -> float:
    """Share of what is told that is true; thermal captions tell no light and no weather."""
    read = [(said, truth) for said, truth in pairs if said]
    return _share(sum(said == truth for said, truth in read), len(read))


def _commonest(values: Sequence[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float('nan')


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float('nan')
