"""Stage ``captioner``: images of both cameras, with boxes and facts, teach what captions are made of.

The network starts from YOLOX-Nano, which knows COCO's classes in visible images. It learns thermal images, darkness and
smoke from boxes on which that detector's looks at both images of real pairs agree, from HIT-UAV's boxes and from
simulated scenes; the scene's place, light and weather from folders of which they are known.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.errors import InputError
from ldfusion_models.language.facts import LIGHTS, PLACES, THINGS, WEATHERS
from ldfusion_models.networks.captioner import CaptionerConfig, CaptionNetwork
from ldfusion_training.data.augment import LightConfig, change_light
from ldfusion_training.data.pairs import Image8
from ldfusion_training.language.detection_loss import detection_loss
from ldfusion_training.language.real_pairs import IGNORE
from ldfusion_training.language.taught_images import (
    TaughtFolder,
    TaughtImage,
    read_boxed_thermal,
    read_simulated,
    read_taught_images,
    read_taught_pairs,
)
from ldfusion_training.language.teacher_labels import Detector
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.stages.pairs_in_memory import as_planes, draw_probabilities

GREY = 114
# Boxes of a sample, and its ignored regions, at most.
MOST = 60
LEAST_SIDE, LEAST_INSIDE = 4.0, 0.4


@dataclass(frozen=True)
class CaptionDataConfig:
    """Which images, and how they are varied.

    Attributes:
        teacher: YOLOX-Nano as ONNX: its weights are the start, its boxes the labels.
        labels: folder that keeps the teacher's boxes, made once.
        pairs, images: folders of pairs and of visible images that the teacher labels.
        thermal: folders of HIT-UAV.
        simulated: data sets.
        parts: share of the samples of each of these four.
        crop: side of the square samples, a multiple of 32.
        zoom: side of the whole image as part of the sample's, smallest and largest.
    """

    teacher: str = ''
    labels: str = 'runs/labels'
    pairs: tuple[TaughtFolder, ...] = ()
    images: tuple[TaughtFolder, ...] = ()
    thermal: tuple[str, ...] = ()
    simulated: tuple[str, ...] = ()
    parts: tuple[float, float, float, float] = (0.45, 0.25, 0.1, 0.2)
    crop: int = 416
    zoom: tuple[float, float] = (0.8, 2.0)


@dataclass(frozen=True)
class CaptionLossConfig:
    """Weights of the terms."""

    boxes: float = 5.0
    scene: float = 1.0


@dataclass(frozen=True)
class CaptionerStageConfig:
    """Settings of the stage; ``initial_weights``: of the captioner, empty for the teacher's."""

    initial_weights: str = ''
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: CaptionDataConfig = field(default_factory=CaptionDataConfig)
    loss: CaptionLossConfig = field(default_factory=CaptionLossConfig)


CONFIG = CaptionerStageConfig


class CaptionerStage(Stage):
    """YOLOX's losses for the boxes, cross-entropy for what is known of the scene."""

    def __init__(self, config: CaptionerStageConfig) -> None:
        super().__init__()
        self.settings = dataclasses.asdict(config)
        self.config = config
        network = CaptionerConfig(tuple(THINGS), PLACES, LIGHTS, WEATHERS)
        self.settings['network'] = dataclasses.asdict(network)
        self.captioner = CaptionNetwork(network)
        self.parts = {'captioner': self.captioner}
        if config.initial_weights:
            load_weights(self.captioner, 'captioner', config.initial_weights)
        elif config.data.teacher:
            take_yolox(self.captioner, Path(config.data.teacher))
        self._images, self._probability = self._all_images()

    def sample(self, generator: np.random.Generator) -> Sample:
        """A view.

        ``image`` (3, crop, crop), ``boxes`` and ``ignored`` (MOST, 4), ``classes`` (MOST,), ``scene`` (3,), -1 unknown.
        """
        taught = self._images[int(generator.choice(len(self._images), p=self._probability))]
        side = self.config.data.crop
        image, boxes = _view(generator, taught, side, self.config.data.zoom)
        named = [
            (box, list(THINGS).index(name)) for name, box, part in boxes if name in THINGS and part >= LEAST_INSIDE
        ]
        ignored = [box for name, box, part in boxes if not (name in THINGS and part >= LEAST_INSIDE)]
        facts = ((PLACES, taught.place), (LIGHTS, taught.light), (WEATHERS, taught.weather))
        classes = np.zeros(MOST, np.int64)
        classes[: len(named)] = [number for _, number in named[:MOST]]
        return {
            'image': as_planes(_look(generator, image, taught.is_thermal)),
            'boxes': _padded([box for box, _ in named]),
            'classes': classes,
            'ignored': _padded(ignored),
            'scene': np.array([known.index(fact) if fact else -1 for known, fact in facts]),
        }

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms: boxes, objectness, classes, scene."""
        side = self.config.data.crop
        output = self.captioner(batch['image'])
        terms = detection_loss(output, batch['boxes'], batch['classes'], batch['ignored'], (side, side))
        sizes = [len(PLACES), len(LIGHTS), len(WEATHERS)]
        scene = output.scene.new_zeros(())
        for logits, wanted in zip(output.scene.split(sizes, 1), batch['scene'].T, strict=True):
            if (wanted >= 0).any():
                scene = scene + F.cross_entropy(logits, wanted, ignore_index=-1)
        loss = self.config.loss.boxes * terms['boxes'] + terms['objectness'] + terms['classes']
        return {'loss': loss + self.config.loss.scene * scene, **terms, 'scene': scene}

    def rate_of(self, name: str) -> float:
        """The new layer learns faster than what the teacher knows already."""
        return 10.0 if '.scene.' in name else 1.0

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Eight samples with the boxes that are found (red) and wanted (green)."""
        tiles = []
        for number in range(8):
            sample = self.sample(np.random.default_rng([1, number]))
            output = self.captioner(torch.from_numpy(sample['image'])[None])
            scores = (output.objectness.sigmoid()[..., None] * output.classes.sigmoid()).amax(2)[0]
            tile = np.ascontiguousarray((sample['image'].transpose(1, 2, 0) * 255).astype(np.uint8))
            for boxes, colour in ((output.boxes[0][scores > 0.4], (255, 0, 0)), (sample['boxes'], (0, 255, 0))):
                for left, top, right, bottom in np.asarray(boxes).round().astype(int).tolist():
                    cv2.rectangle(tile, (left, top), (right, bottom), colour)
            tiles.append(tile)
        return np.vstack([np.hstack(tiles[:4]), np.hstack(tiles[4:])])

    def _all_images(self) -> tuple[list[TaughtImage], npt.NDArray[np.float64]]:
        """All images, and how often each is drawn."""
        data, labels = self.config.data, Path(self.config.data.labels)
        detector = Detector(Path(data.teacher)) if data.pairs or data.images else None
        groups: list[list[TaughtImage]] = [
            [],
            [],
            [],
            list(read_simulated(data.simulated, THINGS) if data.simulated else ()),
        ]
        if detector:
            for each in data.pairs:
                groups[0] += read_taught_pairs(each, detector, labels)
            for each in data.images:
                groups[1] += read_taught_images(each, detector, labels)
        for folder in data.thermal:
            groups[2] += read_boxed_thermal(Path(folder))
        kept = [(group, part) for group, part in zip(groups, data.parts, strict=True) if group]
        if not kept:
            raise InputError('data: no images; give pairs, images, thermal or simulated')
        return [image for group, _ in kept for image in group], draw_probabilities(
            [len(group) for group, _ in kept], [part for _, part in kept]
        )


def create(config: CaptionerStageConfig) -> Stage:
    """The stage with the teacher's weights and a fresh layer for the scene."""
    torch.manual_seed(config.trainer.seed)
    return CaptionerStage(config)


def take_yolox(network: CaptionNetwork, file: Path) -> None:
    """Take the weights of YOLOX-Nano as ONNX, of whose 80 classes only ours stay.

    Its input is BGR from 0 to 255, ours RGB from 0 to 1.

    Raises:
        InputError: the file can't be read, or is another network.
    """
    import onnx

    try:
        graph = onnx.load(str(file)).graph
    except Exception as error:  # protobuf's errors have no common base
        raise InputError(f'{file}: no ONNX model ({error}); give YOLOX-Nano') from error
    values = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    published = [node for node in graph.node if node.op_type == 'Conv']
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    if len(published) != len(layers):
        raise InputError(f'{file}: {len(published)} convolutions, but YOLOX-Nano has {len(layers)}')
    rows = list(THINGS.values())
    for node, layer in zip(published, layers, strict=True):
        weight, bias = (torch.from_numpy(values[name].copy()) for name in node.input[1:])
        if layer is layers[0]:
            weight = weight.reshape(-1, 4, 3, *weight.shape[2:]).flip(2).reshape(weight.shape) * 255.0
        if len(weight) == 80 and weight.shape != layer.weight.shape:
            weight, bias = weight[rows], bias[rows]
        if weight.shape != layer.weight.shape:
            raise InputError(
                f'{file}: a layer is {tuple(weight.shape)}, not {tuple(layer.weight.shape)}; give YOLOX-Nano'
            )
        layer.weight.data, layer.bias.data = weight, bias  # type: ignore[union-attr]


def _view(
    generator: np.random.Generator, taught: TaughtImage, side: int, zoom: tuple[float, float]
) -> tuple[Image8, list[tuple[str, npt.NDArray[np.float32], float]]]:
    """A square view with the boxes in it, each with the part that lies inside."""
    height, width = taught.image.shape[:2]
    scale = side / max(height, width) * float(np.exp(generator.uniform(*np.log(zoom))))
    mirrored = generator.random() < 0.5
    left, top = (generator.uniform(*sorted((0.0, length * scale - side))) for length in (width, height))
    turn = -scale if mirrored else scale
    shift = width * scale - left if mirrored else -left
    matrix = np.array([[turn, 0, shift], [0, scale, -top]])
    image = cv2.warpAffine(
        taught.image, matrix, (side, side), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        borderValue=(GREY,) * 3,
    )  # fmt: skip
    boxes = []
    for each in taught.boxes:
        x = np.sort(np.array([each.box[0], each.box[2]]) * turn + shift)
        y = np.array([each.box[1], each.box[3]]) * scale - top
        whole = np.array([x[0], y[0], x[1], y[1]], np.float32)
        seen = whole.clip(0, side)
        size, part = seen[2:] - seen[:2], whole[2:] - whole[:2]
        if size.min() > 0:
            share = float(size.prod() / part.prod())
            boxes.append((each.name if size.min() >= LEAST_SIDE else IGNORE, seen, share))
    return np.asarray(image, np.uint8), boxes


def _look(generator: np.random.Generator, image: Image8, thermal: bool) -> Image8:
    """Another exposure; coarse as from a small thermal camera; visible ones now and then grey, or grey and inverted."""
    light = LightConfig(brightness=0.12, contrast=0.35, gamma=0.6, saturation=0.0 if thermal else 0.4, noise=0.04)
    if not thermal and generator.random() < 0.2:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
        image = 255 - image if generator.random() < 0.4 else image
    if generator.random() < (0.35 if thermal else 0.15):
        side = image.shape[0]
        small = max(96, round(side / generator.uniform(1.2, 3.5)))
        coarse = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(coarse, (side, side)), np.uint8)
    return change_light(generator, image, light)


def _padded(boxes: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    padded = np.zeros((MOST, 4), np.float32)
    if boxes:
        padded[: len(boxes)] = np.stack(boxes[:MOST])
    return padded
