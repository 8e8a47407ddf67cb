"""``ldfusion evaluate``: measures of fused images and of depth, as tables and pictures."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_models.files import match_pairs, write_image
from ldfusion_training.data.pairs import PairSource
from ldfusion_training.evaluation import depth, fusion, modalities, video
from ldfusion_training.evaluation.depth_metrics import DepthRange
from ldfusion_training.options.evaluate.images import EvaluateDepth, EvaluateFusion, EvaluateModalities, EvaluateVideo
from ldfusion_training.report.tables import markdown_table, show_report, write_json, write_text


def run_fusion(options: EvaluateFusion) -> int:
    """Measure every result on every pair."""
    pairs = [
        PairSource(visible.stem, visible, thermal) for visible, thermal in match_pairs(options.visible, options.thermal)
    ]
    pairs = pairs[:: options.every]
    folders = [*fusion.folders_in(options.peers), *options.fused]
    methods = fusion.baseline_methods() if options.baselines else []
    methods += [fusion.folder_method(folder, pairs) for folder in folders]
    methods += _methods_of_runs(options.runs)
    if not methods:
        raise InputError('nothing to measure; give --fused, --peers, --runs or --baselines')
    scores = fusion.score_methods(pairs, methods)
    print(fusion.report(scores))
    if options.runs:
        print('\n' + _costs_of_runs(options.runs))
    if options.json:
        write_json(options.json, fusion.as_json(scores))
    if options.markdown:
        write_text(options.markdown, fusion.report(scores, per_image=True))
    if options.sheet:
        write_image(options.sheet, fusion.sheet(pairs, methods))
    return 0


def _methods_of_runs(runs: Sequence[Path]) -> list[fusion.Method]:
    if not runs:
        return []
    from ldfusion_training.evaluation.fusion_runs import method_of_run
    from ldfusion_training.runs.trainer import CHECKPOINT

    return [method_of_run(run.resolve().name, run / CHECKPOINT) for run in runs]


def _costs_of_runs(runs: Sequence[Path]) -> str:
    from ldfusion_training.evaluation.fusion_runs import cost_of_run
    from ldfusion_training.runs.trainer import CHECKPOINT

    costs = {run.resolve().name: cost_of_run(run / CHECKPOINT) for run in runs}
    rows = [[name, f'{cost.parameters / 1e6:.2f} M', f'{cost.gflop:.1f}'] for name, cost in costs.items()]
    return markdown_table(['run', 'parameters', 'GFLOP at 640x480'], rows)


def run_depth(options: EvaluateDepth) -> int:
    """Measure every prediction on every image with truth."""
    limits = DepthRange(options.near, options.far)
    truth = depth.open_depth_folder(options.truth, options.truth_units)
    names = list(options.only or truth.files)
    absent = [name for name in names if name not in truth.files]
    if absent:
        raise InputError(f'{options.truth}: no truth called {absent[0]}')
    methods = _depth_baselines(options, names)
    predicted = [depth.folder_method(folder, options.prediction_units, names) for folder in options.prediction]
    methods += predicted
    if not methods:
        raise InputError('nothing to measure; give --prediction, --ground-plane or --mean-of')
    scores = depth.score_methods(truth, names, methods, limits, options.median_scaling)
    print(depth.report(scores))
    for method in predicted:
        _warn_of_units(method.name, depth.typical_ratio(truth, names[0], method))
    if options.json:
        write_json(options.json, depth.as_json(scores))
    if options.markdown:
        write_text(options.markdown, depth.report(scores, per_image=True))
    if options.maps:
        for name in names:
            write_image(options.maps / f'{name}.png', depth.error_sheet(truth, name, methods))
    return 0


def _depth_baselines(options: EvaluateDepth, names: list[str]) -> list[depth.DepthMethod]:
    methods = []
    if options.ground_plane:
        if options.camera is None:
            raise InputError('--ground-plane needs the camera: give --camera FILE or FOLDER')
        methods.append(depth.ground_plane_method(options.camera, options.ground_plane, options.wall))
    if options.mean_of:
        others = depth.open_depth_folder(options.mean_of, options.truth_units)
        if options.mean_of.resolve() == options.truth.resolve():
            others = depth.without(others, names)
        methods.append(depth.mean_map_method(others))
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
    limits = DepthRange(options.near, options.far)
    frames = modalities.open_aligned(options.data)
    estimate = modalities.ModalityEstimator(options.weights)
    conditions = modalities.by_condition(frames, modalities.measure_frames(frames, estimate, limits))
    report = modalities.modality_report(conditions)
    print(report)
    if options.output:
        write_text(options.output / 'report.md', report)
        write_json(options.output / 'report.json', modalities.modality_json(conditions))
        write_image(options.output / 'sheet.png', modalities.modality_sheet(frames, estimate))
    return 0


def run_video(options: EvaluateVideo) -> int:
    """Measure the flicker of every result."""
    frames = video.open_scene(options.scene)
    pairs = video.pair_sources(frames)
    methods = fusion.baseline_methods() if options.baselines else []
    methods += [fusion.folder_method(folder, pairs) for folder in options.fused]
    if not methods:
        raise InputError('nothing to measure; give --fused or --baselines')
    scores = video.score_videos(frames, methods)
    show_report(video.report(scores), video.as_json(scores), options.json)
    return 0
