"""``ldfusion evaluate``: measures of fused images and of depth, as tables and pictures."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.files import match_pairs, write_image
from ldfusion_training.commands.options import Count, Positive, folders_in
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from ldfusion_training.evaluation.depth import DepthMethod
    from ldfusion_training.evaluation.fusion import Method


@Parameter(name='*')
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
    sheet: Path | None = None
    """write a contact sheet of all results"""


@Parameter(name='*')
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


@Parameter(name='*')
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


@Parameter(name='*')
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


def run_fusion(options: EvaluateFusion) -> int:
    """Measure every result on every pair."""
    from ldfusion_training.data.pairs import PairSource
    from ldfusion_training.evaluation import fusion as evaluation

    pairs = [
        PairSource(visible.stem, visible, thermal) for visible, thermal in match_pairs(options.visible, options.thermal)
    ]
    pairs = pairs[:: options.every]
    folders = [*folders_in(options.peers), *options.fused]
    methods = evaluation.baseline_methods() if options.baselines else []
    methods += [evaluation.folder_method(folder, pairs) for folder in folders]
    methods += _methods_of_runs(options.runs)
    if not methods:
        raise InputError('nothing to measure; give --fused, --peers, --runs or --baselines')
    scores = evaluation.score_methods(pairs, methods)
    print(evaluation.report(scores))
    if options.runs:
        print('\n' + _costs_of_runs(options.runs))
    if options.json:
        write_json(options.json, evaluation.as_json(scores))
    if options.markdown:
        write_text(options.markdown, evaluation.report(scores, per_image=True))
    if options.sheet:
        write_image(options.sheet, evaluation.sheet(pairs, methods))
    return 0


def _methods_of_runs(runs: Sequence[Path]) -> 'list[Method]':
    if not runs:
        return []
    from ldfusion_training.evaluation.fusion_runs import method_of_run
    from ldfusion_training.runs.trainer import CHECKPOINT

    return [method_of_run(run.resolve().name, run / CHECKPOINT) for run in runs]


def _costs_of_runs(runs: Sequence[Path]) -> str:
    from ldfusion_training.evaluation.fusion_runs import cost_of_run
    from ldfusion_training.report.tables import markdown_table
    from ldfusion_training.runs.trainer import CHECKPOINT

    costs = {run.resolve().name: cost_of_run(run / CHECKPOINT) for run in runs}
    rows = [[name, f'{cost.parameters / 1e6:.2f} M', f'{cost.gflop:.1f}'] for name, cost in costs.items()]
    return markdown_table(['run', 'parameters', 'GFLOP at 640x480'], rows)


def run_depth(options: EvaluateDepth) -> int:
    """Measure every prediction on every image with truth."""
    from ldfusion_training.evaluation import depth as evaluation
    from ldfusion_training.evaluation.depth_metrics import DepthRange

    limits = DepthRange(options.near, options.far)
    truth = evaluation.open_depth_folder(options.truth, options.truth_units)
    names = list(options.only or truth.files)
    absent = [name for name in names if name not in truth.files]
    if absent:
        raise InputError(f'{options.truth}: no truth called {absent[0]}')
    methods = _depth_baselines(options, names)
    predicted = [evaluation.folder_method(folder, options.prediction_units, names) for folder in options.prediction]
    methods += predicted
    if not methods:
        raise InputError('nothing to measure; give --prediction, --ground-plane or --mean-of')
    scores = evaluation.score_methods(truth, names, methods, limits, options.median_scaling)
    print(evaluation.report(scores))
    for method in predicted:
        _warn_of_units(method.name, evaluation.typical_ratio(truth, names[0], method))
    if options.json:
        write_json(options.json, evaluation.as_json(scores))
    if options.markdown:
        write_text(options.markdown, evaluation.report(scores, per_image=True))
    if options.maps:
        for name in names:
            write_image(options.maps / f'{name}.png', evaluation.error_sheet(truth, name, methods))
    return 0


def _depth_baselines(options: EvaluateDepth, names: list[str]) -> 'list[DepthMethod]':
    from ldfusion_training.evaluation import depth as evaluation

    methods = []
    if options.ground_plane:
        if options.camera is None:
            raise InputError('--ground-plane needs the camera: give --camera FILE or FOLDER')
        methods.append(evaluation.ground_plane_method(options.camera, options.ground_plane, options.wall))
    if options.mean_of:
        others = evaluation.open_depth_folder(options.mean_of, options.truth_units)
        if options.mean_of.resolve() == options.truth.resolve():
            others = evaluation.without(others, names)
        methods.append(evaluation.mean_map_method(others))
    return methods


def _warn_of_units(name: str, ratio: float) -> None:
    """Say if a prediction is off by just the quotient of the two customary units."""
    for wrong in (1000 / 256, 256 / 1000):
        if abs(ratio / wrong - 1) < 0.05:
            print(
                f'ldfusion: {name} is {ratio:.2f} times the truth; check --prediction-units, --truth-units',
                file=sys.stderr,
            )


def run_modalities(options: EvaluateModalities) -> int:
    """Measure depth in three ways on every frame."""
    from ldfusion_training.evaluation import modalities as evaluation
    from ldfusion_training.evaluation.depth_metrics import DepthRange

    limits = DepthRange(options.near, options.far)
    frames = evaluation.open_aligned(options.data)
    estimate = evaluation.ModalityEstimator(options.weights)
    conditions = evaluation.by_condition(frames, evaluation.measure_frames(frames, estimate, limits))
    report = evaluation.modality_report(conditions)
    print(report)
    if options.output:
        write_text(options.output / 'report.md', report)
        write_json(options.output / 'report.json', evaluation.modality_json(conditions))
        write_image(options.output / 'sheet.png', evaluation.modality_sheet(frames, estimate))
    return 0


def run_video(options: EvaluateVideo) -> int:
    """Measure the flicker of every result."""
    from ldfusion_training.evaluation import fusion as fusion_evaluation
    from ldfusion_training.evaluation import video as video_evaluation

    frames = video_evaluation.open_scene(options.scene)
    pairs = video_evaluation.pair_sources(frames)
    methods = fusion_evaluation.baseline_methods() if options.baselines else []
    methods += [fusion_evaluation.folder_method(folder, pairs) for folder in options.fused]
    if not methods:
        raise InputError('nothing to measure; give --fused or --baselines')
    scores = video_evaluation.score_videos(frames, methods)
    print(video_evaluation.report(scores))
    if options.json:
        write_json(options.json, video_evaluation.as_json(scores))
    return 0
