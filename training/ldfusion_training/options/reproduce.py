"""``ldfusion reproduce``: the paper's tables, printed numbers beside ours, and its claims with intervals."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_models.choices import EngineName
from ldfusion_training.options.types import Count, Picture


@dataclass(frozen=True, kw_only=True)
class ReproduceMethods:
    """Ours and published methods.

    Fuses the pairs with our weights, measures that and the results of published methods, and prints both
    beside the paper. Notes say which numbers cannot be compared.
    """

    data: Path
    """the data set of the table"""
    layout: Literal['auto', 'plain', 'split', 'llvip', 'roadscene', 'm3fd', 'kaist'] = 'auto'
    """of its folders"""
    split: str = 'test'
    """of layouts that have one"""
    pairs: int = 0
    """only so many, evenly from all; default: all"""
    json: Path | None = None
    """write all numbers, also those of each image"""
    markdown: Path | None = None
    """write what is printed"""

    fused: Path | None = None
    """our results, if they are there already"""
    weights: Path | None = None
    """weights to fuse with; default: the shipped"""
    engine: EngineName = 'auto'
    peers: Path | None = None
    """each of its folders is a method: DenseFuse, …"""
    baselines: bool = False
    """also visible, thermal, average, maximum, pyramid"""


@dataclass(frozen=True, kw_only=True)
class ReproduceRuns:
    """Training runs, several seeds a row: what the paper claims, with intervals.

    Measures RUNS/ablations/ROW/seed_N/checkpoint.pt on labelled real pairs that no row was trained on, on hard inputs
    made of them and on simulated scenes, and prints what each row costs, effects between rows with 95 % intervals over
    pairs, and which claims they show. Results stay beside each checkpoint. Exit code 1: some runs are missing.
    """

    data: Path
    """holds SET/vi and SET/ir of the labelled pairs, and the sets to train on"""
    runs: Path = Path('runs')
    """folder of all runs and simulated scenes"""
    train: bool = False
    """first train all rows and seeds, or go on with it"""
    trial: bool = False
    """two steps of everything: shows whether all that is needed is here"""
    seeds: Count = 3
    """of each row"""
    detector: Path | None = None
    """YOLOX of COCO's classes, as ONNX; default DATA/teachers/yolox_nano.onnx"""
    truth: Path | None = None
    """labelled pairs, as in language/real_pairs.json, the default"""
    simulated: Path | None = None
    """scenes not trained on; default RUNS/simulated/new, if it is there"""
    height: int = 0
    """larger pairs are made so many pixels high, for speed"""
    every: Count = 1
    """only every Nth pair and scene"""
    json: Path | None = None
    """write all effects"""
    markdown: Path | None = None
    """write what is printed"""
    plot: Picture | None = None
    """write the effects as a picture"""
