"""Pairs of a rig to calibrate with: some of a recording, or of folders, spread over all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.pairing import Pair, Synchroniser
from ldfusion_models.pipeline import AnyImage, as_grey8, as_rgb8
from ldfusion_models.thermal import GainConfig, GainControl
from ldfusion_training.bags import Record, read_bag

Grey = npt.NDArray[np.uint8]
T = TypeVar('T')


@dataclass(frozen=True)
class PairsConfig:
    """What to read.

    Attributes:
        count: pairs to keep at most.
        visible_topic, thermal_topic: of a recording, raw or compressed.
    """

    count: int = 60
    visible_topic: str = '/visible/image_raw'
    thermal_topic: str = '/thermal/image_raw'


def pairs_of_folders(visible: Path, thermal: Path, config: PairsConfig) -> list[tuple[Grey, Grey]]:
    """Grey visible (H, W) and thermal (h, w) images that pair by name.

    Raises:
        InputError: an image has no partner or can't be read.
    """
    chosen = _spread(match_pairs(visible, thermal), config.count)
    pairs = []
    for files in chosen:
        with naming(files[0]):
            pairs.append(_grey_pair(read_image(files[0]), read_image(files[1])))
    return pairs


def pairs_of_recording(bag: Path, config: PairsConfig) -> list[tuple[Grey, Grey]]:
    """The same from a recording, paired by stamp as the node does it.

    Raises:
        InputError: the recording can't be read, or holds no pairs.
    """
    synchroniser: Synchroniser[Record] = Synchroniser()
    kept: list[Pair[Record]] = []
    found, stride = 0, 1
    for record in read_bag(bag, (config.visible_topic, config.thermal_topic)):
        is_visible = record.topic == config.visible_topic
        add = synchroniser.add_visible if is_visible else synchroniser.add_thermal
        for pair in add(record.stamp_ns, record):
            if found % stride == 0:
                kept.append(pair)
            found += 1
            # Nobody knows how long the recording is: whenever there are too many, every second one goes.
            if len(kept) > 2 * config.count:
                kept, stride = kept[::2], 2 * stride
    if not kept:
        raise InputError(f'{bag}: no pairs of {config.visible_topic} and {config.thermal_topic}; see their stamps')
    with naming(bag):
        return [_grey_pair(pair.visible.image(), pair.thermal.image()) for pair in _spread(kept, config.count)]


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of them, at equal distances."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[index] for index in chosen]


def _grey_pair(visible: AnyImage, thermal: AnyImage) -> tuple[Grey, Grey]:
    grey = np.asarray(cv2.cvtColor(as_rgb8(visible), cv2.COLOR_RGB2GRAY), np.uint8)
    return grey, as_grey8(thermal, GainControl(GainConfig(smoothing=0.0)))
