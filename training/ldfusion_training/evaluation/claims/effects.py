"""Effects between rows of runs with 95 % intervals over pairs, and what they show, by a rule.

An effect is the difference of two rows, each the mean of its seeds, on the same images. It is *shown* if its interval
excludes zero and each seed by itself has the same sign, with three seeds and five images at least: intervals over pairs
know nothing of how much two trainings differ, and those of few images nothing at all. A claim is shown if its effect is
shown against every row that it names, refuted if the opposite is shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldfusion_training.evaluation.claims.conditions import HARD
from ldfusion_training.evaluation.claims.measuring import (
    ABS_REL,
    ALL,
    DETECTED,
    HARD_MEAN,
    LIGHTS,
    SILOG,
    THICK_AIR,
    THINGS,
)
from ldfusion_training.evaluation.downstream.average_precision import (
    ImageMatches,
    Values,
    average_precision,
    bootstrap,
)
from ldfusion_training.evaluation.reproduce import Claim
from ldfusion_training.report.tables import UNDEFINED, markdown_table

# What is shown, and whether more is better.
MEASURES = {'Qabf': 1, THINGS: 1, 'VIF': 1, 'SCD': 1, **dict.fromkeys(DETECTED, 1), SILOG: -1, ABS_REL: -1}
LEAST_SEEDS, LEAST_IMAGES = 3, 5
GROUPS = (ALL, *LIGHTS, ' or '.join(THICK_AIR), *HARD, HARD_MEAN)
# Rows of one table: each a name and the records of its seeds.
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Effect:
    """Difference of two rows by one measure on one group of images, and its interval."""

    row: str
    than: str
    group: str
    measure: str
    images: int
    difference: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def shown(self) -> int:
        """1 if ``row`` is shown to be better, -1 if it is shown to be worse, else 0."""
        signs = {value > 0 for value in self.by_seed}
        few = len(self.by_seed) < LEAST_SEEDS or self.images < LEAST_IMAGES
        if few or len(signs) > 1 or self.low <= 0 <= self.high:
            return 0
        return MEASURES[self.measure] * (1 if self.difference > 0 else -1)

    def __str__(self) -> str:
        mark = {1: ' better', -1: ' worse', 0: ''}[self.shown]
        return f'{self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f}){mark}'


def effects(rows: Rows, row: str, than: str) -> list[Effect]:
    """All effects of one row against another, of the seeds that both have; what no image tells is left out."""
    found = []
    seeds = min(len(rows[row]), len(rows[than]))
    for group in GROUPS:
        for measure in MEASURES:
            first, second = (
                [_statistic(record, group, measure) for record in rows[name][:seeds]] for name in (row, than)
            )
            count = len(_values(rows[row][0], group, measure))
            if count:
                found.append(_effect(row, than, group, measure, count, first, second))
    return [effect for effect in found if np.isfinite(effect.difference)]


def _effect(
    row: str,
    than: str,
    group: str,
    measure: str,
    count: int,
    first: Sequence[Callable[[Values], float]],
    second: Sequence[Callable[[Values], float]],
) -> Effect:
    def differences(weights: Values) -> list[float]:
        return [a(weights) - b(weights) for a, b in zip(first, second, strict=True)]

    by_seed = differences(np.ones(count))
    low, high = bootstrap(count, lambda weights: float(np.mean(differences(weights))))
    return Effect(row, than, group, measure, count, float(np.mean(by_seed)), low, high, tuple(by_seed))


def _values(record: Mapping[str, Any], group: str, measure: str) -> list[Any]:
    images = [image['measures'] for image in record['images'] if group in image['groups']]
    return [values[measure] for values in images if measure in values]


def _statistic(record: Mapping[str, Any], group: str, measure: str) -> Callable[[Values], float]:
    """The measure of a group, given how often each image is drawn."""
    values = _values(record, group, measure)
    if measure in DETECTED:
        found = [ImageMatches(np.array(v['scores']), np.array(v['hits'], bool), v['things']) for v in values]
        return lambda weights: average_precision(found, weights)
    numbers = np.array(values, float)
    return lambda weights: float(weights @ numbers / weights.sum())


def claims_in_words(claims: Sequence[Claim], rows: Rows, found: Sequence[Effect]) -> str:
    """One paragraph: each claim, by the rule; then how much of all intervals chance would explain."""
    sentences = []
    for claim in claims:
        judged = [
            effect
            for effect in found
            if (effect.row, effect.group, effect.measure) == (claim.row, claim.group, claim.measure)
            and effect.than in claim.than
        ]
        numbers = '; '.join(f'against {effect.than} {effect}' for effect in judged)
        if len(judged) < len(claim.than):
            sentences.append(
                f'"{claim.text}" is not measured whole, for runs or images are missing: {numbers or "none"}.'
            )
            continue
        verdict = {1: 'shown', 0: 'not shown', -1: 'refuted'}[min(effect.shown for effect in judged)]
        sentences.append(f'"{claim.text}" is {verdict}: {claim.measure} of {claim.row}, {claim.group}, {numbers}.')
    better, worse = (sum(effect.shown == sign for effect in found) for sign in (1, -1))
    sentences.append(
        f'Of all {len(found)} effects {better} are shown to be better and {worse} to be worse; by chance alone '
        f'{0.05 * len(found):.0f} intervals would exclude zero.'
    )
    if any(len(effect.by_seed) < LEAST_SEEDS for effect in found):
        sentences.append(f'With fewer than {LEAST_SEEDS} seeds nothing counts as shown.')
    costs = {
        (record['steps'], record['parameters'], round(record['gflop'], 2)) for row in rows.values() for record in row
    }
    if len(costs) > 1:
        sentences.append('Steps, parameters or GFLOP are not equal in all rows.')
    return ' '.join(sentences)


def rows_table(rows: Rows) -> str:
    """Markdown: what each row costs, and its measures on all pairs, mean of the seeds and their range."""
    header = ['row', 'seeds', 'steps', 'parameters, M', 'GFLOP at 640x480', *MEASURES]
    lines = []
    for name, records in rows.items():
        first = records[0]
        cells = [
            name,
            str(len(records)),
            str(first['steps']),
            f'{first["parameters"] / 1e6:.2f}',
            f'{first["gflop"]:.1f}',
        ]
        for measure in MEASURES:
            values = [
                _statistic(r, ALL, measure)(np.ones(len(_values(r, ALL, measure))))
                for r in records
                if _values(r, ALL, measure)
            ]
            cells.append(f'{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})' if values else UNDEFINED)
        lines.append(cells)
    return markdown_table(header, lines)


def effects_table(found: Sequence[Effect]) -> str:
    """Markdown: a line for each comparison and group, a column for each measure."""
    lines: list[list[str | float]] = []
    for row, than in dict.fromkeys((effect.row, effect.than) for effect in found):
        for group in GROUPS:
            cells = {e.measure: e for e in found if (e.row, e.than, e.group) == (row, than, group)}
            if cells:
                images = max(effect.images for effect in cells.values())
                shown = [str(cells[measure]) if measure in cells else UNDEFINED for measure in MEASURES]
                lines.append([f'{row} - {than}', group, str(images), *shown])
    return markdown_table(['difference', 'images', 'number', *MEASURES], lines)
