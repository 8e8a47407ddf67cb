"""``ldfusion release`` and ``weights``: folders of weights for nodes and commands, from checkpoints or from data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_training.options.types import Repeated


@dataclass(frozen=True, kw_only=True)
class Release:
    """Put trained weights where nodes and commands load them."""

    checkpoint: tuple[Path, ...]
    """checkpoint.pt of a training stage; of several, or of files of released weights after it, the mean of all"""
    part: Literal['denoiser', 'student', 'fusion', 'visible_depth', 'thermal_depth', 'captioner', 'text']
    """network whose weights it holds"""
    output: Path | None = None
    """folder of weights; default: the package's own"""
    fact: Repeated = ()
    """for the manifest: data, recipe, metrics, licence"""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Train every part of the weights from data sets and nothing else, in the order of docs/training.md.

    Writes RUNS/weights, a folder of weights as nodes and commands load it. Takes days on two processors; run the same
    command again after an interruption, and it goes on where it was.
    """

    data: Path = Path('../shared/data')
    """folder with kitti, sites, indoor, roadscene, llvip, msrs, idd_lite and camvid, as docs/training.md says"""
    runs: Path = Path('runs')
    """folder for all runs, simulated scenes and the weights"""
    trial: bool = False
    """two steps and a scene of everything, within the hour: shows whether all that is needed is here"""
    dry_run: bool = False
    """print the commands and stop"""
