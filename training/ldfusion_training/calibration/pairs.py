"""Pairs of a rig to calibrate with: some of a recording, or of folders, spread over all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8
from ldfusion_models.camera.lens import Lens
from ldfusion_models.camera.registration import Matrix
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.camera.thermal_reader import ThermalReader
from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.rig.rig import Shot
from ldfusion_training.bag_evaluation.pairs import PairReader
from ldfusion_training.bag_evaluation.settings import BagSettings
from ldfusion_training.bag_evaluation.topics import choose_topics
from ldfusion_training.recordings.bags import open_recording

Grey = npt.NDArray[np.uint8]
T = TypeVar('T')


@dataclass(frozen=True)
class RigPairs:
    """What two cameras saw, and what is known of them.

    Attributes:
        pairs: grey visible (H, W) and thermal (h, w) images.
        lenses: by camera, as camera_info says; without those that are not known.
        thermal_T_visible: from TF; None if unknown.
    """

    pairs: Sequence[tuple[Grey, Grey]]
    lenses: Mapping[str, Lens] = field(default_factory=dict)
    thermal_T_visible: Matrix | None = None  # noqa: N815 (frames' usual notation)


def pairs_of_folders(visible: Path, thermal: Path, count: int) -> RigPairs:
    """At most ``count`` images that pair by name.

    Raises:
        InputError: an image has no partner or can't be read.
    """
    pairs = []
    for files in _spread(match_pairs(visible, thermal), count):
        with naming(files[0]):
            pairs.append(_grey_pair(read_image(files[0]), read_image(files[1])))
    return RigPairs(pairs)


def pairs_of_recording(bag: Path, settings: BagSettings, count: int) -> RigPairs:
    """At most ``count`` pairs of a recording, paired by stamp as the node does it.

    Raises:
        InputError: the recording can't be read, lacks topics, or holds no pairs.
    """
    pairs: list[tuple[Grey, Grey]] = []
    last: Shot | None = None
    with open_recording(bag) as recording:
        topics, _ = choose_topics(settings.topics, recording.topics, bag)
        reader = PairReader(recording, topics, settings)
        expected = min(recording.counts[topics.visible], recording.counts[topics.thermal])
        chosen = set(_spread(range(expected), count))
        read_thermal = ThermalReader()
        for number, shot in enumerate(pair.shot for pair in reader if pair.is_pair):
            with naming(bag):
                last = shot.read(read_thermal, settings.node.thermal_form())
                if number in chosen and last.visible is not None and last.thermal is not None:
                    pairs.append(_grey_pair(last.visible, last.thermal))
    if last is None:
        raise InputError(f'{bag}: {reader.unpaired_explanation()}')
    lenses = {name: known.lens for name, known in last.calibrations.items() if known.lens}
    return RigPairs(pairs, lenses, last.thermal_T_visible)


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of them, at equal distances."""
    if not items:
        return []
    chosen = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[index] for index in chosen]


def _grey_pair(visible: AnyImage, thermal: AnyImage) -> tuple[Grey, Grey]:
    grey = np.asarray(cv2.cvtColor(as_rgb8(visible), cv2.COLOR_RGB2GRAY), np.uint8)
    return grey, as_grey8(thermal, GainControl(GainConfig(smoothing=0.0)))
