"""``ldfusion evaluate places``: a depth branch where it has never been."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_training.options.types import Count, Positive


@dataclass(frozen=True, kw_only=True)
class EvaluatePlaces:
    """A depth branch on drives, sites and cameras that its recipe has not seen.

    Measures depth of frames that the recipe holds out, and of folders that it does not know: by data set and place,
    with and without median scaling, by range, beside the mean depth map and flat ground.
    """

    data: tuple[Path, ...]
    """images with depth"""
    branch: Literal['visible', 'thermal'] = 'visible'
    weights: tuple[Path, ...] = ()
    """folders; default: the package's own"""
    model: str | None = None
    """also a published network, as for ldfusion depth"""
    held_out: tuple[str, ...] = ()
    """names, as patterns; default: those of the branch's recipe"""
    recipe: Path | None = None
    """default: the one of the shipped branch"""
    camera_height: Positive = 1.65
    """metres, of the ground plane, and of the first weights' depth corrected by it"""
    points: Count = 64
    """of the truth, at random, that correct the first weights' depth in one row; judged on the rest"""
    output: Path | None = None
    """write report.md, report.json and worst.png"""
