"""``ldfusion evaluate``: measures of fused images and of depth, as tables and pictures."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.errors import InputError
from ldfusion_models.files import match_pairs, write_image
from ldfusion_training.commands import Subparsers, folders_in, positive_number
from ldfusion_training.commands.evaluate.bag import add_bag, add_compare
from ldfusion_training.commands.evaluate.diffusion import add_diffusion
from ldfusion_training.commands.evaluate.language import add_captions, add_text
from ldfusion_training.commands.evaluate.places import add_places
from ldfusion_training.commands.evaluate.prompts import add_guidance, add_prompts
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from ldfusion_training.evaluation.depth import DepthMethod
    from ldfusion_training.evaluation.fusion import Method


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its sub-commands."""
    parser = subparsers.add_parser(
        'evaluate', help='measure fused images, the denoiser, depth, video, recordings, captions or text embeddings'
    )
    kinds = parser.add_subparsers(metavar='KIND', required=True)
    _add_fusion(kinds)
    add_diffusion(kinds)
    _add_depth(kinds)
    add_places(kinds)
    _add_modalities(kinds)
    _add_video(kinds)
    add_captions(kinds)
    add_text(kinds)
    add_bag(kinds)
    add_compare(kinds)
    add_prompts(kinds)
    add_guidance(kinds)


def _add_fusion(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        'fusion',
        help='EN, MI, 2EN, SF, SD, VIF, Qabf, AG, SCD, CC, SSIM, Nabf and chroma error',
        description='Measures fused images against their two sources; files are paired by name without ending. '
        'Prints the table of means.',
    )
    parser.add_argument('--visible', type=Path, required=True, help='folder of visible images')
    parser.add_argument('--thermal', type=Path, required=True, help='folder of thermal images')
    parser.add_argument('--fused', type=Path, nargs='+', default=[], metavar='FOLDER', help='results, grey or colour')
    parser.add_argument('--peers', type=Path, metavar='FOLDER', help='each of its folders is one more result')
    parser.add_argument(
        '--runs',
        type=Path,
        nargs='+',
        default=[],
        metavar='FOLDER',
        help='runs of stage fusion, and their cost',
    )
    parser.add_argument('--baselines', action='store_true', help='also visible, thermal, average, maximum, pyramid')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write means and the values of each image')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write the tables of means and of each image')
    parser.add_argument('--sheet', type=Path, metavar='FILE.png', help='write a contact sheet of all results')
    parser.set_defaults(run=run_fusion)


def run_fusion(arguments: argparse.Namespace) -> int:
    """Measure every result on every pair."""
    from ldfusion_training.data.pairs import PairSource
    from ldfusion_training.evaluation import fusion as evaluation

    pairs = [
        PairSource(visible.stem, visible, thermal)
        for visible, thermal in match_pairs(arguments.visible, arguments.thermal)
    ]
    folders = [*folders_in(arguments.peers), *arguments.fused]
    methods = evaluation.baseline_methods() if arguments.baselines else []
    methods += [evaluation.folder_method(folder, pairs) for folder in folders]
    methods += _methods_of_runs(arguments.runs)
    if not methods:
        raise InputError('nothing to measure; give --fused, --peers, --runs or --baselines')
    scores = evaluation.score_methods(pairs, methods)
    print(evaluation.report(scores))
    if arguments.runs:
        print('\n' + _costs_of_runs(arguments.runs))
    if arguments.json:
        write_json(arguments.json, evaluation.as_json(scores))
    if arguments.markdown:
        write_text(arguments.markdown, evaluation.report(scores, per_image=True))
    if arguments.sheet:
        write_image(arguments.sheet, evaluation.sheet(pairs, methods))
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


def _add_depth(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        'depth',
        help='AbsRel, SqRel, RMSE, RMSElog, SILog and the share within 1.25, 1.25^2, 1.25^3',
        description='Measures depth against truth; files are paired by name without ending. 16-bit images hold '
        'millimetres in predictions (as ldfusion writes them) and 1/256 metres in truth (KITTI) unless said otherwise, '
        '.npy arrays metres. Prints the table of means.',
    )
    parser.add_argument('--prediction', type=Path, nargs='+', default=[], metavar='FOLDER', help='depth to measure')
    parser.add_argument('--truth', type=Path, required=True, metavar='FOLDER', help='measured or simulated depth')
    parser.add_argument('--prediction-units', type=positive_number, default=1000.0, metavar='N', help='units per metre')
    parser.add_argument('--truth-units', type=positive_number, default=256.0, metavar='N', help='units per metre')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='images to measure; default: all that have truth')
    parser.add_argument('--near', type=positive_number, default=0.001, metavar='M', help='nearest truth that counts')
    parser.add_argument('--far', type=positive_number, default=80.0, metavar='M', help='farthest truth that counts')
    parser.add_argument('--median-scaling', action='store_true', help='forgive a wrong scale of each image')
    parser.add_argument(
        '--ground-plane', type=positive_number, metavar='M', help='baseline: camera M above flat ground'
    )
    parser.add_argument('--wall', type=positive_number, default=20.0, metavar='M', help='where that ground ends')
    parser.add_argument(
        '--camera', type=Path, metavar='FILE', help='camera of the ground plane, or folder of NAME.json'
    )
    parser.add_argument('--mean-of', type=Path, metavar='FOLDER', help='baseline: mean of the truth in this folder')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write means and the values of each image')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write the tables of means and of each image')
    parser.add_argument('--maps', type=Path, metavar='FOLDER', help='write NAME.png with depth and error of each image')
    parser.set_defaults(run=run_depth)


def run_depth(arguments: argparse.Namespace) -> int:
    """Measure every prediction on every image with truth."""
    from ldfusion_training.evaluation import depth as evaluation
    from ldfusion_training.evaluation.depth_metrics import DepthRange

    limits = DepthRange(arguments.near, arguments.far)
    truth = evaluation.open_depth_folder(arguments.truth, arguments.truth_units)
    names = arguments.only or list(truth.files)
    absent = [name for name in names if name not in truth.files]
    if absent:
        raise InputError(f'{arguments.truth}: no truth called {absent[0]}')
    methods = _depth_baselines(arguments, names)
    predicted = [evaluation.folder_method(folder, arguments.prediction_units, names) for folder in arguments.prediction]
    methods += predicted
    if not methods:
        raise InputError('nothing to measure; give --prediction, --ground-plane or --mean-of')
    scores = evaluation.score_methods(truth, names, methods, limits, arguments.median_scaling)
    print(evaluation.report(scores))
    for method in predicted:
        _warn_of_units(method.name, evaluation.typical_ratio(truth, names[0], method))
    if arguments.json:
        write_json(arguments.json, evaluation.as_json(scores))
    if arguments.markdown:
        write_text(arguments.markdown, evaluation.report(scores, per_image=True))
    if arguments.maps:
        for name in names:
            write_image(arguments.maps / f'{name}.png', evaluation.error_sheet(truth, name, methods))
    return 0


def _depth_baselines(arguments: argparse.Namespace, names: list[str]) -> 'list[DepthMethod]':
    from ldfusion_training.evaluation import depth as evaluation

    methods = []
    if arguments.ground_plane:
        if arguments.camera is None:
            raise InputError('--ground-plane needs the camera: give --camera FILE or FOLDER')
        methods.append(evaluation.ground_plane_method(arguments.camera, arguments.ground_plane, arguments.wall))
    if arguments.mean_of:
        others = evaluation.open_depth_folder(arguments.mean_of, arguments.truth_units)
        if arguments.mean_of.resolve() == arguments.truth.resolve():
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


def _add_modalities(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        'modalities',
        help='depth of fused images against that of either camera alone, by light and weather',
        description='Measures depth on simulated scenes in three ways: from the visible image, from the thermal image, '
        'and from the fused image as on the robot. Prints AbsRel by light and weather. Use scenes that were never '
        'trained on.',
    )
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER', help='made by ldfusion simulate, aligned')
    parser.add_argument('--weights', type=Path, metavar='FOLDER', help="default: the package's own")
    parser.add_argument('--near', type=positive_number, default=0.001, metavar='M', help='nearest truth that counts')
    parser.add_argument('--far', type=positive_number, default=80.0, metavar='M', help='farthest truth that counts')
    parser.add_argument(
        '--output', type=Path, metavar='FOLDER', help='write report.md, report.json and sheet.png with error maps'
    )
    parser.set_defaults(run=run_modalities)


def run_modalities(arguments: argparse.Namespace) -> int:
    """Measure depth in three ways on every frame."""
    from ldfusion_training.evaluation import modalities as evaluation
    from ldfusion_training.evaluation.depth_metrics import DepthRange

    limits = DepthRange(arguments.near, arguments.far)
    frames = evaluation.open_aligned(arguments.data)
    estimate = evaluation.ModalityEstimator(arguments.weights)
    conditions = evaluation.by_condition(frames, evaluation.measure_frames(frames, estimate, limits))
    report = evaluation.modality_report(conditions)
    print(report)
    if arguments.output:
        write_text(arguments.output / 'report.md', report)
        write_json(arguments.output / 'report.json', evaluation.modality_json(conditions))
        write_image(arguments.output / 'sheet.png', evaluation.modality_sheet(frames, estimate))
    return 0


def _add_video(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        'video',
        help='flicker of fused video of a simulated scene',
        description='Measures how much points of the world change their grey between frames; their motion is known '
        'exactly from the simulated depth and poses. Prints the table.',
    )
    parser.add_argument('--scene', type=Path, required=True, metavar='FOLDER', help='DATASET/scene_NNNNN')
    parser.add_argument('--fused', type=Path, nargs='+', default=[], metavar='FOLDER', help='fused frames by name')
    parser.add_argument('--baselines', action='store_true', help='also visible, thermal, average, maximum, pyramid')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the values')
    parser.set_defaults(run=run_video)


def run_video(arguments: argparse.Namespace) -> int:
    """Measure the flicker of every result."""
    from ldfusion_training.evaluation import fusion as fusion_evaluation
    from ldfusion_training.evaluation import video as video_evaluation

    frames = video_evaluation.open_scene(arguments.scene)
    pairs = video_evaluation.pair_sources(frames)
    methods = fusion_evaluation.baseline_methods() if arguments.baselines else []
    methods += [fusion_evaluation.folder_method(folder, pairs) for folder in arguments.fused]
    if not methods:
        raise InputError('nothing to measure; give --fused or --baselines')
    scores = video_evaluation.score_videos(frames, methods)
    print(video_evaluation.report(scores))
    if arguments.json:
        write_json(arguments.json, video_evaluation.as_json(scores))
    return 0
