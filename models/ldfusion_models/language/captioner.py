"""Depth-informed captions: an image and its depth in, a description of what is where, in metres, out.

As in Ahmed et al. 2023, the captioner sees the image and its depth. It says what it has found and is sure of, in
sentences of one form (``captions``), so that the same facts go out as fields as well. One network serves both cameras.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8, as_uint8
from ldfusion_models.choices import EMBEDDED
from ldfusion_models.engines.onnxruntime_engine import open_part
from ldfusion_models.errors import InputError
from ldfusion_models.language.captions import caption
from ldfusion_models.language.facts import Description, Facts, Mention, side_of

PART = 'captioner'
MODALITIES = ('visible', 'thermal')
# Sides of the network's input are multiples of this; what is beside the image is of this grey.
STRIDE, GREY = 32, 114
# Least score of what is told: of what moves on its own, and of other things, which were learned from visible images.
LEAST_SCORE, LEAST_SCORE_OF_OTHERS = 0.5, 0.6
TRAFFIC = ('person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck')
# A street is told where one of these may be: of what else is out of doors, real images have taught no place.
OF_STREETS = ('bicycle', 'car', 'motorcycle', 'bus', 'truck', 'train', 'traffic light', 'stop sign')
LEAST_SCORE_OF_STREETS = 0.3
# Classes that are taken for each other: one thing gets one box.
KINDS = (('car', 'bus', 'truck', 'train'), ('bicycle', 'motorcycle'))
MOST_OVERLAP = 0.5
# Place, light and weather are told if they are at least so likely.
LEAST_SURE = 0.7
# Things in a caption, nearest first; the fields hold all.
MOST_TOLD = 8
# Grey levels by which a warm thing is above what is around it.
LEAST_HEAT = 8.0


class Captioner:
    """Describes images of one camera, about once a second; needs no PyTorch."""

    def __init__(self, session: Any, modality: str) -> None:
        """Take over a session with what ``ldfusion_models.graph.tracing.trace_captioner`` wrote.

        Args:
            session: of ONNX Runtime.
            modality: ``visible`` or ``thermal``.

        Raises:
            InputError: another modality.
        """
        if modality not in MODALITIES:
            raise InputError(f'modality {modality!r} is unknown; choose visible or thermal')
        self._session = session
        facts = session.get_modelmeta().custom_metadata_map
        self._names: list[str] = json.loads(facts['classes'])
        self._scenes: list[list[str]] = [json.loads(facts[kind]) for kind in ('places', 'lights', 'weathers')]
        self._of_streets = [number for number, name in enumerate(self._names) if name in OF_STREETS]
        self._size: int = json.loads(facts['size'])
        self._is_thermal = modality == 'thermal'

    @classmethod
    def load(cls, modality: str, weights: Path | None = None, threads: int = 0) -> 'Captioner':
        """Load the embedded captioner for one camera, to run with so many threads (0: one a processor).

        Raises:
            InputError: no such modality, or weights are missing, damaged or without captioner.
        """
        return cls(open_part(PART, weights, threads), modality)

    def describe(self, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> Description:
        """A caption of a few sentences, and what it is made of.

        Args:
            image: (H, W, 3) RGB uint8, or (H, W) grey; a thermal image is grey.
            depth: (H, W) float32 metres, NaN where unknown.

        Raises:
            InputError: an image that is none, or depth of another size.
        """
        pixels = as_rgb8(image)
        if depth.shape != pixels.shape[:2]:
            raise InputError(f'depth of shape {depth.shape} for an image of {pixels.shape[:2]}; they must be equal')
        facts = self._read(pixels, depth)
        told = Facts(facts.place, facts.light, facts.weather, facts.mentions[:MOST_TOLD])
        return Description(caption(told, self._is_thermal), facts)

    def _read(self, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> Facts:
        canvas, scale = letterbox(image, self._size)
        planes = canvas.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255.0)
        boxes, objectness, classes, scene = (output[0] for output in self._session.run(None, {'image': planes}))
        place, light, weather = self._scene(scene)
        scores = _likelihood(objectness)[:, None] * _likelihood(classes)
        if place == 'street' and scores[:, self._of_streets].max(initial=0.0) < LEAST_SCORE_OF_STREETS:
            place = ''
        mentions = [self._mention(image, depth, *found) for found in self._things(boxes / scale, scores)]
        mentions.sort(key=lambda each: (each.distance_m or np.inf, -each.score))
        if self._is_thermal:
            return Facts(place, mentions=tuple(mentions))
        return Facts(place, light, weather, tuple(mentions))

    def _scene(self, logits: npt.NDArray[np.float32]) -> list[str]:
        """Place, light and weather, empty where not sure."""
        borders = np.cumsum([len(names) for names in self._scenes])[:-1]
        told = []
        for names, part in zip(self._scenes, np.split(logits, borders), strict=True):
            likelihoods = np.exp(part - part.max())
            number = int(likelihoods.argmax())
            told.append(names[number] if likelihoods[number] >= LEAST_SURE * likelihoods.sum() else '')
        return told

    def _things(
        self, boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]
    ) -> list[tuple[str, float, npt.NDArray[np.float64]]]:
        """Class, score and box (left, top, right, bottom) in pixels of the image, of each thing that is sure."""
        names = self._names
        numbers, best = scores.argmax(1), scores.max(1)
        least = np.array([LEAST_SCORE if name in TRAFFIC else LEAST_SCORE_OF_OTHERS for name in names])
        rows = np.flatnonzero(best >= least[numbers])
        if not rows.size:
            return []
        found = boxes[rows].astype(np.float64)
        sizes = np.concatenate([found[:, :2], found[:, 2:] - found[:, :2]], 1)
        kinds = [_kind(names[int(numbers[row])], names) for row in rows]
        kept = cv2.dnn.NMSBoxesBatched(sizes.tolist(), best[rows].tolist(), kinds, 0.0, MOST_OVERLAP)
        return [(names[int(numbers[rows[each]])], float(best[rows[each]]), found[each]) for each in kept]

    def _mention(
        self,
        image: npt.NDArray[np.uint8],
        depth: npt.NDArray[np.float32],
        name: str,
        score: float,
        box: npt.NDArray[np.float64],
    ) -> Mention:
        height, width = depth.shape
        box = box.clip(0, [width, height, width, height])
        inner = _inner_half(box, width, height)
        known = depth[inner]
        known = known[np.isfinite(known)]
        distance = float(np.median(known)) if known.size else 0.0
        parts = tuple(map(float, box / [width, height, width, height]))
        warm = self._is_thermal and _heat(image[..., 0], box, inner) >= LEAST_HEAT
        return Mention(name, side_of((parts[0] + parts[2]) / 2), distance, warm, score, parts)


class Describer(Protocol):
    """Anything that describes images with depth, as ``Captioner`` does."""

    def describe(self, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> Description:
        """A caption of ``image`` (H, W, 3) or (H, W) uint8 with ``depth`` (H, W) metres."""
        ...


def load_captioners(
    setting: str = EMBEDDED, weights: Path | None = None, threads: int = 0
) -> tuple[Describer, Describer]:
    """The captioners of the visible and of the thermal camera.

    Args:
        setting: ``embedded``, or a published captioner by its name in transformers or as a local folder.
        weights: folder of weights that holds the embedded captioner; None for those that came with the package.
        threads: of the embedded captioner; 0: one a processor.

    Raises:
        InputError: no such captioner, a package is not installed, or weights are missing or damaged.
    """
    if setting == EMBEDDED:
        session = open_part(PART, weights, threads)
        return Captioner(session, 'visible'), Captioner(session, 'thermal')
    from ldfusion_models.language.published_captioner import PublishedCaptioner

    published = PublishedCaptioner.load(setting)
    return published, published


def letterbox(image: npt.NDArray[np.uint8], longest: int) -> tuple[npt.NDArray[np.uint8], float]:
    """An image (H, W, 3) with its longest side at ``longest`` pixels, grey below and at the right; and the scale."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.full((-(-size[1] // STRIDE) * STRIDE, -(-size[0] // STRIDE) * STRIDE, 3), GREY, np.uint8)
    canvas[: size[1], : size[0]] = resized
    return as_uint8(canvas), scale


def _likelihood(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sigmoid; logits are within what float32 can raise e to."""
    likelihood: npt.NDArray[np.float32] = 1 / (1 + np.exp(-logits.clip(-80.0, 80.0)))
    return likelihood


def _kind(name: str, names: Sequence[str]) -> int:
    """One number for classes that are taken for each other."""
    kind = next((kind for kind in KINDS if name in kind), (name,))
    return list(names).index(kind[0])


def _inner_half(box: npt.NDArray[np.float64], width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of the middle of a box, at least one pixel: what is beside a thing is at another distance."""
    middle, quarter = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 4
    left, top = np.minimum((middle - quarter).astype(int), [width - 1, height - 1])
    right, bottom = np.maximum((middle + quarter).astype(int) + 1, [left + 1, top + 1])
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _heat(thermal: npt.NDArray[np.uint8], box: npt.NDArray[np.float64], inner: tuple[slice, slice]) -> float:
    """Grey levels by which the middle of a box is above its surroundings, half as wide again."""
    height, width = thermal.shape
    margin = (box[2:] - box[:2]) / 4 + 1
    left, top = np.maximum((box[:2] - margin).astype(int), 0)
    right, bottom = np.minimum((box[2:] + margin).astype(int), [width, height])
    around = np.ones((bottom - top, right - left), bool)
    inside = slice(int(box[1]) - top, int(box[3]) - top + 1), slice(int(box[0]) - left, int(box[2]) - left + 1)
    around[inside] = False
    surroundings = thermal[top:bottom, left:right][around]
    return float(thermal[inner].mean() - np.median(surroundings)) if surroundings.size else 0.0
