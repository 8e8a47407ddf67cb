"""Effects with their intervals as a picture."""

from collections.abc import Sequence

import cv2
import numpy as np

from ldfusion_training.data.pairs import Image8
from ldfusion_training.evaluation.claims.effects import GROUPS, MEASURES, Effect
from ldfusion_training.report.pictures import BACKGROUND, FONT, GRID, LINE_HEIGHT, TEXT

PANEL, GAP, NAMES, STEP = 210, 16, 170, 11
COLOURS = ((255, 196, 84), (110, 190, 255), (150, 230, 130), (240, 130, 190))


def plot(effects: Sequence[Effect]) -> Image8:
    """A panel for each measure, a line for each group, a colour for each pair of rows; filled where it is shown.

    Each panel is as wide as its largest interval; right of its middle line the first row is better.
    """
    pairs = list(dict.fromkeys((effect.row, effect.than) for effect in effects))
    measures = [name for name in MEASURES if any(effect.measure == name for effect in effects)]
    groups = [name for name in GROUPS if any(effect.group == name for effect in effects)]
    line = STEP * len(pairs) + GAP
    top = LINE_HEIGHT * (len(pairs) + 2)
    size = top + line * len(groups) + LINE_HEIGHT, NAMES + len(measures) * (PANEL + GAP)
    canvas = np.full((*size, 3), BACKGROUND, np.uint8)
    for number, (row, than) in enumerate(pairs):
        _write(canvas, f'{row} against {than}', 8, LINE_HEIGHT * (number + 1), COLOURS[number % len(COLOURS)])
    for number, name in enumerate(groups):
        _write(canvas, name, 8, top + line * number + line // 2 + 4, TEXT)
    for number, measure in enumerate(measures):
        left = NAMES + number * (PANEL + GAP)
        own = [effect for effect in effects if effect.measure == measure]
        widest = max(max(abs(effect.low), abs(effect.high)) for effect in own) or 1.0
        _write(canvas, f'{measure}, +-{widest:.3f}', left, top - 6, TEXT)
        middle = left + PANEL // 2
        cv2.line(canvas, (middle, top), (middle, size[0] - LINE_HEIGHT), GRID, 1)
        for effect in own:
            index = pairs.index((effect.row, effect.than))
            y = top + line * groups.index(effect.group) + GAP // 2 + STEP * index + STEP // 2
            scale = MEASURES[measure] * PANEL / 2 / widest
            ends = [round(middle + scale * value) for value in (effect.low, effect.difference, effect.high)]
            colour = COLOURS[index % len(COLOURS)]
            cv2.line(canvas, (ends[0], y), (ends[2], y), colour, 1)
            cv2.circle(canvas, (ends[1], y), 4, colour, -1 if effect.shown else 1, cv2.LINE_AA)
    return canvas


def _write(canvas: Image8, text: str, left: int, baseline: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, (left, baseline), FONT, 0.42, colour, 1, cv2.LINE_AA)
