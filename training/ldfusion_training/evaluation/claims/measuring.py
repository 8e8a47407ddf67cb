"""One training run measured on labelled real pairs, on hard inputs made of them, and on simulated scenes.

Real pairs bring the image measures, whole and on things alone, what a detector finds, and whether the frozen depth
branches still see in the fused image what both saw in its sources (eq. 1). Simulated scenes bring true depth.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of
from ldfusion_models.graph.manifest import read_manifest
from ldfusion_training.data.pairs import Image8, Pair
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.evaluation.claims.conditions import HARD
from ldfusion_training.evaluation.depth_metrics import evaluate_depth
from ldfusion_training.evaluation.downstream import detection
from ldfusion_training.evaluation.fusion import Method, measures_of
from ldfusion_training.evaluation.fusion_runs import cost_of_run, method_of_run
from ldfusion_training.language.real_pairs import IGNORE, LabelledPair, SeenPair
from ldfusion_training.language.teacher_labels import Detector, suppress
from ldfusion_training.metrics import edge_preservation, to_grey
from ldfusion_training.runs.trainer import read_checkpoint
from ldfusion_training.stages.depth_supervision import DepthSupervision, DepthSupervisionConfig, create_supervision
from ldfusion_training.stages.pairs_in_memory import CANONICAL_FOCAL, as_planes, as_tensors

ALL, HARD_MEAN = 'all', 'hard inputs, mean'
LIGHTS = ('day', 'dusk', 'night')
THICK_AIR = ('smoke', 'fog')
THINGS, SILOG, ABS_REL = 'Qabf of things', 'SiLog', 'AbsRel'
DETECTED = {'AP50 of people': 'person', 'AP50 of cars': 'car'}
# A box alone would leave out a thing's outline.
MARGIN = 3


@dataclass(frozen=True)
class Material:
    """What every run is measured on.

    Attributes:
        pairs: labelled pairs that no run was trained on.
        frames: aligned simulated frames that no run was trained on; may be none.
        detector: looks at fused images.
        height: larger pairs are made so many pixels high; 0 for as they are.
    """

    pairs: Sequence[LabelledPair]
    frames: Sequence[SimulatedFrame]
    detector: Detector
    height: int

    def protocol(self, checkpoint: Path) -> dict[str, Any]:
        """By what a record of earlier is known to be of this run on this material."""
        return {
            'checkpoint': sha256_of(checkpoint),
            'judges': [read_manifest().weights_id, sha256_of(self.detector.file)],
            'pairs': [f'{pair.seen.set}/{pair.seen.name}' for pair in self.pairs],
            'frames': [frame.name for frame in self.frames],
            'height': self.height,
            'conditions': list(HARD),
        }


def measure_run(checkpoint: Path, material: Material, progress: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Measure a run of stage ``fusion``.

    Returns:
        Plain values: ``protocol``, ``steps``, ``parameters``, ``gflop`` (at 640x480), and ``images``, a list of the
        ``measures`` of each image and the ``groups`` that it counts in.

    Raises:
        InputError: the checkpoint is of another stage; images that can't be read.
    """
    method, judge, cost = (
        method_of_run('', checkpoint),
        create_supervision(DepthSupervisionConfig()),
        cost_of_run(checkpoint),
    )
    images: list[dict[str, Any]] = []
    for number, labelled in enumerate(material.pairs):
        images += _of_pair(number, _reduced(labelled, material.height), method, judge, material.detector)
        progress()
    for frame in material.frames:
        images.append(_of_frame(frame, method, judge))
        progress()
    return {
        'protocol': material.protocol(checkpoint),
        'steps': read_checkpoint(checkpoint)['step'],
        'parameters': cost.parameters,
        'gflop': cost.gflop,
        'images': images,
    }


@dataclass(frozen=True)
class _Reduced:
    seen: SeenPair
    pair: Pair


def _reduced(labelled: LabelledPair, height: int) -> _Reduced:
    pair, seen = labelled.source.read(), labelled.seen
    if pair.thermal.shape[::-1] != seen.size:
        raise InputError(f'{labelled.source.visible}: {pair.thermal.shape[::-1]} pixels, its boxes are for {seen.size}')
    if not height or pair.thermal.shape[0] <= height:
        return _Reduced(seen, pair)
    scale = height / pair.thermal.shape[0]
    size = round(seen.size[0] * scale), height
    small = [
        np.asarray(cv2.resize(i, size, interpolation=cv2.INTER_AREA), np.uint8) for i in (pair.visible, pair.thermal)
    ]
    things = tuple(replace(thing, box=_scaled(thing.box, scale)) for thing in seen.objects)
    return _Reduced(replace(seen, size=size, objects=things), Pair(*small))


def _scaled(box: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(value * scale) for value in box)
    return left, top, right, bottom


def _of_pair(
    number: int, good: _Reduced, method: Method, judge: DepthSupervision, detector: Detector
) -> Iterator[dict[str, Any]]:
    """The pair as it is, under each hard condition, and the mean of these."""
    seen = good.seen
    things = things_mask(seen)
    truth = judge.pseudo_truth(*as_tensors(good.pair))

    def measured(shown: Pair) -> dict[str, Any]:
        fused = as_rgb8(method.fused(seen.name, shown))
        values: dict[str, Any] = measures_of(good.pair, fused)
        if things.any():
            thermal, visible, grey = (
                to_grey(image).astype(np.float64) for image in (good.pair.thermal, good.pair.visible, fused)
            )
            values[THINGS] = edge_preservation(thermal, visible, grey, things)
        if torch.isfinite(truth).any():
            with torch.no_grad():
                values[SILOG] = float(judge(torch.from_numpy(as_planes(fused))[None], truth))
        boxes = suppress(detector.detect(fused, detection.LEAST_SCORE), detection.SAME)
        for title, name in DETECTED.items():
            found = detection.matches(seen, boxes, name)
            values[title] = {'scores': found.scores.tolist(), 'hits': found.hits.tolist(), 'things': found.things}
        return values

    air = [' or '.join(THICK_AIR)] if seen.weather in THICK_AIR else []
    groups = [ALL, seen.light, *air, seen.set.partition('/')[0]]
    yield {'name': seen.name, 'groups': groups, 'measures': measured(good.pair)}
    hard = {name: measured(change(good.pair, np.random.default_rng(number))) for name, change in HARD.items()}
    for name, values in hard.items():
        yield {'name': seen.name, 'groups': [name], 'measures': values}
    titles = [title for title in next(iter(hard.values())) if title not in DETECTED]
    means = {title: float(np.mean([values[title] for values in hard.values()])) for title in titles}
    yield {'name': seen.name, 'groups': [HARD_MEAN], 'measures': means}


def things_mask(seen: SeenPair) -> Image8:
    """Where (H, W) a pair shows labelled things, a few pixels around them too: 1, else 0."""
    mask = np.zeros(seen.size[::-1], np.uint8)
    for thing in seen.objects:
        if thing.name != IGNORE:
            left, top, right, bottom = thing.box
            mask[max(0, top - MARGIN) : bottom + MARGIN, max(0, left - MARGIN) : right + MARGIN] = 1
    return mask


def _of_frame(frame: SimulatedFrame, method: Method, judge: DepthSupervision) -> dict[str, Any]:
    fused = as_rgb8(method.fused(frame.name, frame.read_pair()))
    canonical = judge.depth(torch.from_numpy(as_planes(fused))[None])[0, 0].numpy()
    metres = canonical * np.float32(frame.visible_camera.fx / CANONICAL_FOCAL)
    error = evaluate_depth(metres, frame.read_depth()).abs_rel
    return {'name': frame.name, 'groups': [ALL, frame.light], 'measures': {ABS_REL: error}}
