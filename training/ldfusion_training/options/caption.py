"""``ldfusion caption``: what pairs of images show, in words."""

from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.choices import EMBEDDED
from ldfusion_training.options.types import Positive


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Describe pairs of images.

    Prints the captions of the visible and of the thermal image of each pair, made from image and estimated depth.
    Folders are paired by file name.
    """

    visible: Path
    """image or folder"""
    thermal: Path
    """image or folder, 8 or 16 bits, aligned to visible"""
    fx: Positive | None = None
    """focal length of the visible images"""
    json: bool = False
    """print one JSON object per pair"""
    captioner: str = EMBEDDED
    """or a published one by name or folder"""
