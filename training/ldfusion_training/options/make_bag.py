"""``ldfusion make-bag``: folders of image pairs to a rosbag2 recording."""

from dataclasses import dataclass, field
from pathlib import Path

from ldfusion_training.options.types import Positive, Size


@dataclass(frozen=True, kw_only=True)
class MakeBag:
    """Make a recording from folders of pairs.

    Writes a rosbag2 recording (MCAP) with images, camera_info and static transforms, in the topics that fusion_node
    listens to. Pairs have the same file name and are taken as aligned.
    """

    recording: Path = field(kw_only=False)
    """folder of the new recording"""
    visible: Path
    """folder"""
    thermal: Path
    """folder; 8 or 16 bits"""
    rate: Positive = 10.0
    """pairs per second"""
    fov: Positive = 50.0
    """horizontal field of view of both cameras, in degrees"""
    size: Size | None = None
    """scale all images to cover this size and cut what is over; needed if sizes differ"""
