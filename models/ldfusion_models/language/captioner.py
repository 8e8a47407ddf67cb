"""Depth-informed captions: an image and its depth in, a description of what is where, in metres, out.

As in Ahmed et al. 2023, the captioner sees the image and its depth. It says what it has found and is sure of, in
sentences of one form (``captions``), so that the same facts go out as fields as well. One network serves both cameras.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8, as_uint8
from ldfusion_models.choices import EMBEDDED
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.graph.manifest import load_part, read_manifest
from ldfusion_models.language.captions import caption
from ldfusion_models.language.facts import Description, Facts, Mention, side_of
from ldfusion_models.mappings import from_mapping

if TYPE_CHECKING:
    from ldfusion_models.networks.captioner import CaptionNetwork, SceneOutput

PART = 'captioner'
MODALITIES = ('visible', 'thermal')
# Sides of the network's input are multiples of this; what is beside the image is of this grey.
STRIDE, GREY = 32, 114
# Least score of what is told: of what moves on its own, and of other things, which were learned from visible images.
LEAST_SCORE, LEAST_SCORE_OF_OTHERS = 0.5, 0.6
TRAFFIC = ('person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck')
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
    """Describes images of one camera; in PyTorch, about once a second."""

    def __init__(self, network: 'CaptionNetwork', modality: str) -> None:
        """Take over a network in eval mode; ``modality`` is ``visible`` or ``thermal``.

        Raises:
            InputError: another modality.
        """
        if modality not in MODALITIES:
            raise InputError(f'modality {modality!r} is unknown; choose visible or thermal')
        self._network = network
        self._is_thermal = modality == 'thermal'

    @classmethod
    def load(cls, modality: str, weights: Path | None = None) -> 'Captioner':
        """Load the embedded captioner for one camera.

        Raises:
            InputError: no such modality, PyTorch is not installed, or weights are missing or damaged.
        """
        return cls(load_network(weights), modality)

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
        import torch

        canvas, scale = letterbox(image, self._network.config.size)
        planes = torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255.0
        with torch.inference_mode():
            output = self._network(planes)
        place, light, weather = self._scene(output)
        mentions = [self._mention(image, depth, *found) for found in self._things(output, scale)]
        mentions.sort(key=lambda each: (each.distance_m or np.inf, -each.score))
        if self._is_thermal:
            return Facts(place, mentions=tuple(mentions))
        return Facts(place, light, weather, tuple(mentions))

    def _scene(self, output: 'SceneOutput') -> list[str]:
        """Place, light and weather, empty where not sure."""
        import torch

        config = self._network.config
        kinds = (config.places, config.lights, config.weathers)
        told = []
        for names, logits in zip(kinds, torch.split(output.scene[0], [len(names) for names in kinds]), strict=True):
            likelihood, number = logits.softmax(0).max(0)
            told.append(names[int(number)] if float(likelihood) >= LEAST_SURE else '')
        return told

    def _things(self, output: 'SceneOutput', scale: float) -> list[tuple[str, float, npt.NDArray[np.float64]]]:
        """Class, score and box (left, top, right, bottom) in pixels of the image, of each thing that is sure."""
        names = self._network.config.classes
        scores = (output.objectness.sigmoid()[..., None] * output.classes.sigmoid())[0].numpy()
        numbers, best = scores.argmax(1), scores.max(1)
        least = np.array([LEAST_SCORE if name in TRAFFIC else LEAST_SCORE_OF_OTHERS for name in names])
        rows = np.flatnonzero(best >= least[numbers])
        if not rows.size:
            return []
        boxes = output.boxes[0].numpy()[rows].astype(np.float64) / scale
        sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        kinds = [_kind(names[int(numbers[row])], names) for row in rows]
        kept = cv2.dnn.NMSBoxesBatched(sizes.tolist(), best[rows].tolist(), kinds, 0.0, MOST_OVERLAP)
        return [(names[int(numbers[rows[each]])], float(best[rows[each]]), boxes[each]) for each in kept]

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


def load_captioners(setting: str = EMBEDDED, weights: Path | None = None) -> tuple[Describer, Describer]:
    """The captioners of the visible and of the thermal camera.

    Args:
        setting: ``embedded``, or a published captioner by its name in transformers or as a local folder.
        weights: folder of weights that holds the embedded captioner; None for those that came with the package.

    Raises:
        InputError: no such captioner, a package is not installed, or weights are missing or damaged.
    """
    if setting == EMBEDDED:
        network = load_network(weights)
        return Captioner(network, 'visible'), Captioner(network, 'thermal')
    from ldfusion_models.language.published_captioner import PublishedCaptioner

    published = PublishedCaptioner.load(setting)
    return published, published


def load_network(weights: Path | None = None) -> 'CaptionNetwork':
    """The embedded captioner's network in eval mode.

    Raises:
        InputError: PyTorch is not installed, or weights are missing, damaged or of another version.
    """
    try:
        from ldfusion_models.networks.captioner import CaptionerConfig, CaptionNetwork
    except ImportError as error:
        raise InputError(f'captions need PyTorch ({error}): {how_to_install("language")}') from error
    manifest = read_manifest(weights)
    source = str(manifest.folder / 'manifest.yaml')
    if 'config' not in manifest.parts.get(PART, {}):
        raise InputError(f'{source}: lists no captioner')
    network = CaptionNetwork(from_mapping(CaptionerConfig, manifest.parts[PART]['config'], source))
    load_part(network, manifest, PART)
    return network.eval()


def letterbox(image: npt.NDArray[np.uint8], longest: int) -> tuple[npt.NDArray[np.uint8], float]:
    """An image (H, W, 3) with its longest side at ``longest`` pixels, grey below and at the right; and the scale."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.full((-(-size[1] // STRIDE) * STRIDE, -(-size[0] // STRIDE) * STRIDE, 3), GREY, np.uint8)
    canvas[: size[1], : size[0]] = resized
    return as_uint8(canvas), scale


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
