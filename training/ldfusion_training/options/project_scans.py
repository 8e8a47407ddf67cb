"""``ldfusion project-scans``: laser scans to depth images of the visible or the thermal camera."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ProjectScans:
    """Laser scans to depth images of a camera.

    Makes a data set to train depth on: OUTPUT/vi (or ir), OUTPUT/depth (16 bits, metres x 256) and OUTPUT/camera,
    from images and scans of one name (KAIST multispectral, own recordings). Images must be rectified.
    """

    images: Path
    scans: Path
    """.bin (KITTI) or .npy, by name"""
    calibration: Path
    """YAML, see ldfusion_training/data/lidar.py"""
    camera: Literal['visible', 'thermal']
    """which camera took the images"""
    output: Path
    skip: bool = False
    """leave out faulty samples instead of stopping"""
