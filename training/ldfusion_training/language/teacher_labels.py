"""Labels by teachers, for images that nobody described: a detector's votes, boxes of HIT-UAV.

The detector is a YOLOX-type ONNX file of the 80 COCO classes: image letterboxed with grey 114, BGR 0..255; output
(1, N, 85) of centre, size (as offsets to a grid of strides 8, 16 and 32), objectness and classes (YOLOX, Apache-2.0,
https://github.com/Megvii-BaseDetection/YOLOX).
It sees each pair several times (visible, thermal, average; mirrored; in two overlapping halves); boxes that agree are
fused, weighted by score, as in weighted boxes fusion (Solovyev et al. 2021).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from ldfusion_models.errors import InputError
from ldfusion_models.language.facts import THINGS
from ldfusion_training.data.pairs import Image8, Pair

# Classes of COCO that we name, by their number.
NAMES = {number: name for name, number in THINGS.items()}
HIT_UAV = {'Person': 'person', 'Car': 'car', 'Bicycle': 'bicycle', 'OtherVehicle': 'truck', 'DontCare': 'ignore'}
STRIDES = (8, 16, 32)
GREY = 114


@dataclass(frozen=True)
class TaughtBox:
    """Class, xmin, ymin, xmax, ymax in pixels, score 0..1, and how many of the teacher's looks agree."""

    name: str
    box: tuple[float, float, float, float]
    score: float
    votes: int = 1


@dataclass(frozen=True)
class VoteConfig:
    """``score``: least score of one look; ``overlap``: least IoU of boxes that agree; ``votes``: looks that must."""

    score: float = 0.25
    overlap: float = 0.5
    votes: int = 2


class Detector:
    """A detector of COCO's classes on the CPU, from ``file``.

    Raises:
        InputError: the file is missing, no ONNX model, or of another layout.
    """

    def __init__(self, file: Path, threads: int = 1) -> None:
        self.file = file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
        except Exception as error:  # the exceptions of onnxruntime have no common base
            raise InputError(f'{file}: no detector ({error}); give a YOLOX model as ONNX') from error
        source = self._session.get_inputs()[0]
        self._input, self._size = source.name, source.shape[-1]
        if not isinstance(self._size, int):
            raise InputError(f'{file}: its input is {source.shape}; export the detector with a fixed size')
        self._grid, self._strides = _grid(self._size)

    def detect(self, image: Image8, least: float) -> list[TaughtBox]:
        """Boxes of an RGB image (H, W, 3) with a score of at least ``least``; overlapping ones are still there."""
        height, width = image.shape[:2]
        scale = self._size / max(height, width)
        inner = cv2.resize(image, (max(1, int(width * scale)), max(1, int(height * scale))))
        canvas = np.full((self._size, self._size, 3), GREY, np.uint8)
        canvas[: inner.shape[0], : inner.shape[1]] = inner
        batch = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        output = np.asarray(self._session.run(None, {self._input: batch})[0])[0]
        if output.shape != (len(self._grid), 85):
            raise InputError(f'the detector answers {output.shape}, not ({len(self._grid)}, 85); give a YOLOX model')
        scores = output[:, 4:5] * output[:, 5:]
        best = scores.argmax(1)
        centre, size = (output[:, :2] + self._grid) * self._strides, np.exp(output[:, 2:4]) * self._strides
        boxes = np.concatenate([centre - size / 2, centre + size / 2], 1) / scale
        boxes = boxes.clip(0, [width, height, width, height])
        return [
            TaughtBox(NAMES[int(best[i])], (*map(float, boxes[i]),), float(scores[i, best[i]]))  # type: ignore[arg-type]
            for i in np.flatnonzero(scores.max(1) >= least)
            if int(best[i]) in NAMES and (boxes[i, 2:] > boxes[i, :2]).all()
        ]


def label_pair(detector: Detector, pair: Pair, config: VoteConfig | None = None) -> list[TaughtBox]:
    """What the detector's looks at visible, thermal and average of a pair agree on."""
    thermal = np.repeat(pair.thermal[..., None], 3, 2)
    average = ((pair.visible.astype(np.uint16) + thermal) // 2).astype(np.uint8)
    return _agreed(detector, [pair.visible, thermal, average], config or VoteConfig())


def label_image(detector: Detector, image: Image8, config: VoteConfig | None = None) -> list[TaughtBox]:
    """What the detector's looks at one image (H, W, 3) agree on."""
    return _agreed(detector, [image], config or VoteConfig())


def _agreed(detector: Detector, images: list[Image8], config: VoteConfig) -> list[TaughtBox]:
    looks = [suppress(boxes, config.overlap) for image in images for boxes in _looks(detector, image, config.score)]
    return agree(looks, config)


def agree(looks: Iterable[list[TaughtBox]], config: VoteConfig) -> list[TaughtBox]:
    """Boxes of one class that overlap, fused with their scores as weights; one vote for each look, most votes first."""
    groups: list[list[TaughtBox]] = []
    for look in looks:
        free = list(range(len(groups)))
        for box in sorted(look, key=lambda item: -item.score):
            near = [(overlap(_fused(groups[i]).box, box.box), i) for i in free if groups[i][0].name == box.name]
            share, index = max(near, default=(0.0, -1))
            if share >= config.overlap:
                groups[index].append(box)
                free.remove(index)
            else:
                groups.append([box])
    found = [_fused(group) for group in groups if len(group) >= config.votes]
    return suppress(sorted(found, key=lambda box: (-box.votes, -box.score)), config.overlap, ordered=True)


def suppress(boxes: list[TaughtBox], most: float, ordered: bool = False) -> list[TaughtBox]:
    """Without boxes that overlap a better one of their class by more than ``most``."""
    kept: list[TaughtBox] = []
    for box in boxes if ordered else sorted(boxes, key=lambda item: -item.score):
        if all(box.name != other.name or overlap(box.box, other.box) <= most for other in kept):
            kept.append(box)
    return kept


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / max(areas - shared, 1e-9)


def read_hit_uav(file: Path) -> list[TaughtBox]:
    """The boxes of one image of HIT-UAV; ``DontCare`` becomes ``ignore``.

    Raises:
        InputError: unreadable, or a class of another name.
    """
    try:
        items = json.loads(file.read_text(encoding='utf-8'))
        return [TaughtBox(HIT_UAV[name], (left, top, right, bottom), 1.0) for name, left, top, right, bottom in items]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{file}: {error}; it holds [[class, xmin, ymin, xmax, ymax], ...] of HIT-UAV') from error


def _looks(detector: Detector, image: Image8, least: float) -> Iterator[list[TaughtBox]]:
    """The whole image, the image mirrored, and its halves with some overlap, taken as one look."""
    width = image.shape[1]
    yield detector.detect(image, least)
    yield [
        TaughtBox(found.name, (width - found.box[2], found.box[1], width - found.box[0], found.box[3]), found.score)
        for found in detector.detect(np.ascontiguousarray(image[:, ::-1]), least)
    ]
    part = max(1, width * 3 // 5)
    yield [
        TaughtBox(found.name, (x + found.box[0], found.box[1], x + found.box[2], found.box[3]), found.score)
        for x in (0, width - part)
        for found in detector.detect(np.ascontiguousarray(image[:, x : x + part]), least)
    ]


def _fused(group: list[TaughtBox]) -> TaughtBox:
    scores = np.array([box.score for box in group])
    left, top, right, bottom = np.average([box.box for box in group], axis=0, weights=scores).tolist()
    return TaughtBox(group[0].name, (left, top, right, bottom), float(scores.mean()), len(group))


def _grid(size: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cells (N, 2) as x, y, and the stride (N, 1) of each, smallest stride first."""
    cells, strides = [], []
    for stride in STRIDES:
        count = size // stride
        rows, columns = np.mgrid[:count, :count]
        cells.append(np.stack([columns, rows], -1).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
