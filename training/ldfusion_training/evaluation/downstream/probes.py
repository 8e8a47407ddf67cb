"""What a linear layer reads from a network's features: classes of street images, people and cars, depth.

The denoiser's decoder is compared with the same layers untrained or trained as an autoencoder, and with the published
EfficientNet-Lite0. Features are brought to cells of 8x8 pixels; the layer is a ridge regression, solved exactly. Images
of one camera (CamVid, IDD) have their luminance as the thermal channel.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ldfusion_models.files import read_image
from ldfusion_models.graph.frame_graph import FeatureExtractor
from ldfusion_models.networks.denoiser import Denoiser, DenoiserConfig
from ldfusion_models.networks.depth import Encoder
from ldfusion_models.networks.diffusion import Diffusion, DiffusionConfig
from ldfusion_training.data.pairs import Pair, images_by_name
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.evaluation.diffusion import shrunk, shrunk_size
from ldfusion_training.evaluation.downstream.average_precision import ImageMatches, average_precision
from ldfusion_training.language.real_pairs import LabelledPair
from ldfusion_training.metrics import to_grey
from ldfusion_training.report.tables import markdown_table
from ldfusion_training.runs.starting_weights import RELEASED, load_weights
from ldfusion_training.stages.pairs_in_memory import as_tensors

CELL, HEIGHT = 8, 192
# Of the features' variance, added to the diagonal.
RIDGE = 1e-3
THINGS = ('person', 'car')
Values = npt.NDArray[np.float64]
Features = Callable[[Pair], list[Tensor]]
Item = TypeVar('Item')


@dataclass(frozen=True)
class Example:
    """A pair, and what its cells (h, w) show: a class, or K values (K, h, w); negative classes and NaN count not."""

    pair: Pair
    target: Values


@dataclass(frozen=True)
class Task:
    """Examples to learn from and to measure on, and how well (N, K) predictions hold (N,) or (N, K) targets."""

    train: Sequence[Example]
    test: Sequence[Example]
    score: Callable[[Values, Values], float]


def denoiser_features(weights: str) -> Features:
    """Those that the fusion sees, of weights as ``load_weights`` takes them; empty for fresh ones."""
    torch.manual_seed(0)
    denoiser = Denoiser(DenoiserConfig())
    if weights:
        load_weights(denoiser, 'denoiser', weights)
    extractor = FeatureExtractor(denoiser.eval(), Diffusion(DiffusionConfig()), (50,))
    return lambda pair: extractor(*as_tensors(pair))


def imagenet_features() -> Features:
    """EfficientNet-Lite0's at 1/2 to 1/16 of the visible image."""
    encoder = Encoder(blocks=11)
    encoder.load_imagenet()
    encoder.eval()
    return lambda pair: encoder(as_tensors(pair)[0] * 2.0 - 1.0)


def networks(autoencoder: Path | None) -> dict[str, Features]:
    """All that are compared."""
    kinds = {'denoiser': denoiser_features(RELEASED), 'the same, untrained': denoiser_features('')}
    if autoencoder:
        kinds['the same, an autoencoder'] = denoiser_features(str(autoencoder))
    return {**kinds, 'EfficientNet-Lite0': imagenet_features()}


def spread(items: Sequence[Item], count: int) -> Sequence[Item]:
    """At most so many of the items, evenly drawn."""
    return items[:: max(1, len(items) // count)][:count]


def class_examples(folder: Path, count: int, classes: int) -> list[Example]:
    """Images ``vi`` with masks ``label``, evenly drawn: a cell shows the class in its middle; others are unknown."""
    images, labels = images_by_name(folder / 'vi'), images_by_name(folder / 'label')
    names = sorted(images.keys() & labels.keys())
    examples = []
    for name in spread(names, count):
        visible = np.asarray(read_image(images[name]), np.uint8)
        label = _cells(read_image(labels[name]).astype(np.float32))
        examples.append(Example(shrunk(Pair(visible, to_grey(visible)), HEIGHT), np.where(label < classes, label, -1)))
    return examples


def thing_examples(pairs: Sequence[LabelledPair]) -> list[Example]:
    """Labelled pairs: 1 in cells that show people, or cars, else 0."""
    examples = []
    for labelled in pairs:
        pair = labelled.source.read()
        maps = np.zeros((len(THINGS), *pair.thermal.shape), np.float32)
        for thing in labelled.seen.objects:
            if thing.name in THINGS:
                left, top, right, bottom = thing.box
                maps[THINGS.index(thing.name), top:bottom, left:right] = 1
        examples.append(Example(shrunk(pair, HEIGHT), np.stack([_cells(each) for each in maps])))
    return examples


def depth_examples(frames: Sequence[SimulatedFrame]) -> list[Example]:
    """Simulated frames: the logarithm of depth in the middle of each cell."""
    examples = []
    for frame in frames:
        pair, depth = frame.read_pair(), frame.read_depth()
        examples.append(Example(shrunk(pair, HEIGHT), np.log(_cells(depth))[None]))
    return examples


def mean_recall(predicted: Values, target: Values) -> float:
    """Mean over the classes of the part of their cells that are found."""
    found = predicted.argmax(axis=1)
    return float(np.mean([(found[target == each] == each).mean() for each in np.unique(target)]))


def mean_precision(predicted: Values, target: Values) -> float:
    """Mean over the columns of their average precision; a cell counts as an image."""
    ones = np.ones(1)
    columns = [ImageMatches(p, t > 0, int(t.sum())) for p, t in zip(predicted.T, target.T, strict=True)]
    return float(np.mean([average_precision([column], ones) for column in columns]))


def explained(predicted: Values, target: Values) -> float:
    """Part of the variance that is explained, R2."""
    return float(1 - ((predicted - target) ** 2).mean() / target.var())


def probe(features: Features, task: Task) -> float:
    """The score of a linear layer on frozen features."""
    (x, y), (unseen, truth) = (_table(features, examples) for examples in (task.train, task.test))
    wanted = np.eye(int(y.max()) + 1)[y.astype(int)] if y.ndim == 1 else y
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, unseen = (x - mean) / deviation, (unseen - mean) / deviation
    offset = wanted.mean(axis=0)
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ (wanted - offset))
    return task.score(unseen @ weights + offset, truth)


def probes_report(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a row for each network, a column for each task."""
    tasks = list(next(iter(scores.values())))
    return markdown_table(['features', *tasks], [[name, *values.values()] for name, values in scores.items()])


@torch.inference_mode()
def _table(features: Features, examples: Sequence[Example]) -> tuple[Values, Values]:
    """Features (N, C) and targets (N,) or (N, K) of all known cells."""
    rows, targets = [], []
    for example in examples:
        height, width = example.target.shape[-2:]
        maps = [F.interpolate(each, (height, width), mode='area') for each in features(example.pair)]
        cells = torch.cat(maps, dim=1)[0].flatten(1).T.numpy().astype(np.float64)
        flat = example.target.reshape(-1, height * width)
        known = np.isfinite(flat).all(axis=0) & ((flat >= 0).all(axis=0) if example.target.ndim == 2 else True)
        rows.append(cells[known])
        targets.append(flat.T[known])
    joined = np.concatenate(targets)
    return np.concatenate(rows), joined[:, 0] if examples[0].target.ndim == 2 else joined


def _cells(values: npt.NDArray[np.float32]) -> Values:
    """What (H, W) holds in the middle of each cell of the image made HEIGHT pixels high."""
    width, height = shrunk_size(values.shape[1], values.shape[0], HEIGHT)
    cells = cv2.resize(values, (width // CELL, height // CELL), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(cells, np.float64)
