"""Inputs of the frame graph from a recording, spread over its length: what 8-bit convolutions are calibrated on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.pairing import Pair, Synchroniser
from ldfusion_models.errors import InputError
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.recordings.bags import Record, read_bag

Frame = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class CalibrationConfig:
    """What to read.

    Attributes:
        bag: the recording.
        visible_topic, thermal_topic: of aligned images, raw or compressed.
        frames: how many to keep at most.
        size: width and height that the images are brought to; None keeps theirs.
    """

    bag: Path
    visible_topic: str = '/visible/image_raw'
    thermal_topic: str = '/thermal/image_raw'
    frames: int = 32
    size: tuple[int, int] | None = None


def calibration_frames(config: CalibrationConfig, pipeline: Pipeline) -> list[Frame]:
    """Read the recording once and keep pairs at equal distances; ``pipeline`` prepares them as for its engine.

    Raises:
        InputError: the recording can't be read, or holds no pair that the networks take.
    """
    synchroniser: Synchroniser[Record] = Synchroniser()
    kept: list[Pair[Record]] = []
    found, stride = 0, 1
    for record in read_bag(config.bag, (config.visible_topic, config.thermal_topic)):
        is_visible = record.topic == config.visible_topic
        add = synchroniser.add_visible if is_visible else synchroniser.add_thermal
        for pair in add(record.stamp_ns, record):
            if found % stride == 0:
                kept.append(pair)
            found += 1
            if len(kept) > 2 * config.frames:
                kept, stride = kept[::2], 2 * stride
    if not kept:
        raise InputError(f'{config.bag}: no pairs of {config.visible_topic} and {config.thermal_topic} to calibrate on')
    step = -(-len(kept) // config.frames)
    return [
        pipeline.inputs_of(_resize(pair.visible.image(), config.size), _resize(pair.thermal.image(), config.size))
        for pair in kept[::step]
    ]


def _resize(image: npt.NDArray[Any], size: tuple[int, int] | None) -> npt.NDArray[Any]:
    return image if size is None else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
