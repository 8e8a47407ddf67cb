"""``ldfusion evaluate detection`` and ``segmentation``: what is found in fused images, and in either camera's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_training.options.types import Count


@dataclass(frozen=True, kw_only=True)
class EvaluateDetection:
    """Whether a detector finds more in fused images than in either camera's.

    Shows labelled pairs to a YOLOX detector (ONNX): visible, thermal, average, maximum, Laplacian pyramid, fused
    without text, with the own caption, with the prompt "people", and other results. Prints AP50 and recall by class,
    light and data set with 95 % intervals over pairs, and the share of white pixels in boxes.
    """

    detector: Path
    """YOLOX of COCO's classes, as ONNX"""
    data: Path
    """holds SET/vi and SET/ir of the pairs"""
    truth: Path | None = None
    """boxes, as in language/real_pairs.json, the default"""
    split: Literal['validation', 'training', 'all'] = 'validation'
    sets: tuple[str, ...] = ()
    """only these, such as tno/val"""
    classes: tuple[str, ...] = ('person', 'car')
    weights: Path | None = None
    """default: those of the package"""
    without_text: bool = False
    """leave out captions and prompt"""
    fused: tuple[Path, ...] = ()
    """other results by name"""
    peers: Path | None = None
    """each of its folders is one more result"""
    every: Count = 1
    """only every Nth pair"""
    output: Path | None = None
    """write report.md, report.json and sheet.png"""


@dataclass(frozen=True, kw_only=True)
class EvaluateSegmentation:
    """How plainly classes stand out in fused images.

    Measures, by class of labelled masks, the part of its border that has an edge and its contrast with what is around:
    visible, thermal, average, maximum, Laplacian pyramid, fused without text, and other results. Prints both tables.
    """

    dataset: Path | None = None
    """simulated data set"""
    visible: Path | None = None
    """folder of visible images, instead"""
    thermal: Path | None = None
    """folder of thermal images"""
    masks: Path | None = None
    """folder of masks, 8 bits: number of the class"""
    classes: tuple[str, ...] = ()
    """names of the numbers from 0 on; default: those of the simulator"""
    weights: Path | None = None
    """default: those of the package"""
    fused: tuple[Path, ...] = ()
    """other results by name"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write the values of each pair"""
