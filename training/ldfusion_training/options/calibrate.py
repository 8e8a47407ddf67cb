"""``ldfusion calibrate``: how thermal images are to be mapped into visible ones, from a recording or folders."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Estimate how thermal is mapped into visible.

    Estimates from many pairs of images, by their common edges, how the thermal image is to be mapped into the
    visible one, prints by how many pixels the images were apart and are then, and writes the file that fusion_node
    (registration_file) and ldfusion fuse (--registration) read.
    """

    recording: Path | None = field(default=None, kw_only=False)
    """rosbag2 recording"""
    output: Path
    """file to write"""
    visible: Path | None = None
    """folder of images instead of a recording"""
    thermal: Path | None = None
    """folder of images of the same names, 8 or 16 bits"""
    registration: Path | None = None
    """what is known already: a homography to refine, or cameras whose residual shift is estimated"""
    method: Literal['homography', 'shift'] | None = None
    """homography, or only a shift on top of --registration (default where that is by cameras)"""
    pairs: int = 60
    """pairs to use at most"""
    visible_topic: str = ''
    """of images, raw or compressed (found by name)"""
    thermal_topic: str = ''
    """of images, raw or compressed (found by name)"""
    sync_tolerance: float = 0.025
    """seconds that stamps of a pair may differ"""
    clock_offset: float = 0.0
    """seconds added to the thermal stamps"""
