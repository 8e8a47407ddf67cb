"""``ldfusion evaluate``: measures of fused images and of depth, as tables and pictures."""

from dataclasses import dataclass
from pathlib import Path

from ldfusion_training.options.types import Count, Picture, Positive


@dataclass(frozen=True, kw_only=True)
class EvaluateFusion:
    """EN, MI, 2EN, SF, SD, VIF, Qabf, AG, SCD, CC, SSIM, Nabf and chroma error.

    Measures fused images against their two sources; files are paired by name without ending. Prints the table of
    means.
    """

    visible: Path
    """folder of visible images"""
    thermal: Path
    """folder of thermal images"""
    fused: tuple[Path, ...] = ()
    """results, grey or colour"""
    peers: Path | None = None
    """each of its folders is one more result"""
    runs: tuple[Path, ...] = ()
    """runs of stage fusion, and their cost"""
    baselines: bool = False
    """also visible, thermal, average, maximum, pyramid"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write means and the values of each image"""
    markdown: Path | None = None
    """write the tables of means and of each image"""
    sheet: Picture | None = None
    """write a contact sheet of all results"""


@dataclass(frozen=True, kw_only=True)
class EvaluateDepth:
    """AbsRel, SqRel, RMSE, RMSElog, SILog and the share within 1.25, 1.25^2, 1.25^3.

    Measures depth against truth; files are paired by name without ending. 16-bit images hold millimetres in
    predictions (as ldfusion writes them) and 1/256 metres in truth (KITTI) unless said otherwise, .npy arrays
    metres. Prints the table of means.
    """

    truth: Path
    """measured or simulated depth"""
    prediction: tuple[Path, ...] = ()
    """depth to measure"""
    prediction_units: Positive = 1000.0
    """units per metre"""
    truth_units: Positive = 256.0
    """units per metre"""
    only: tuple[str, ...] | None = None
    """images to measure; default: all that have truth"""
    near: Positive = 0.001
    """nearest truth that counts"""
    far: Positive = 80.0
    """farthest truth that counts"""
    median_scaling: bool = False
    """forgive a wrong scale of each image"""
    ground_plane: Positive | None = None
    """baseline: camera M above flat ground"""
    wall: Positive = 20.0
    """where that ground ends"""
    camera: Path | None = None
    """camera of the ground plane, or folder of NAME.json"""
    mean_of: Path | None = None
    """baseline: mean of the truth in this folder"""
    json: Path | None = None
    """write means and the values of each image"""
    markdown: Path | None = None
    """write the tables of means and of each image"""
    maps: Path | None = None
    """write NAME.png with depth and error of each image"""


@dataclass(frozen=True, kw_only=True)
class EvaluateModalities:
    """Depth of fused images against that of either camera alone, by light and weather.

    Measures depth on simulated scenes in three ways: from the visible image, from the thermal image, and from the
    fused image as on the robot. Prints AbsRel by light and weather. Use scenes that were never trained on.
    """

    data: Path
    """made by ldfusion simulate, aligned"""
    weights: Path | None = None
    """default: the package's own"""
    near: Positive = 0.001
    """nearest truth that counts"""
    far: Positive = 80.0
    """farthest truth that counts"""
    output: Path | None = None
    """write report.md, report.json and sheet.png with error maps"""


@dataclass(frozen=True, kw_only=True)
class EvaluateVideo:
    """Flicker of fused video of a simulated scene.

    Measures how much points of the world change their grey between frames; their motion is known exactly from the
    simulated depth and poses. Prints the table.
    """

    scene: Path
    """DATASET/scene_NNNNN"""
    fused: tuple[Path, ...] = ()
    """fused frames by name"""
    baselines: bool = False
    """also visible, thermal, average, maximum, pyramid"""
    json: Path | None = None
    """write the values"""
