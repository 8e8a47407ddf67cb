"""``ldfusion evaluate places``: a depth branch where it has never been."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.files import write_image
from ldfusion_training.commands import Subparsers, positive_number
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from ldfusion_training.evaluation.places import Method

WORST = 8


def add_places(kinds: Subparsers) -> None:
    """Add the command."""
    parser = kinds.add_parser(
        'places',
        help='a depth branch on drives, sites and cameras that its recipe has not seen',
        description='Measures depth of frames that the recipe holds out, and of folders that it does not know: by data '
        'set and place, with and without median scaling, by range, beside the mean depth map and flat ground.',
    )
    parser.add_argument('--data', type=Path, nargs='+', required=True, metavar='FOLDER', help='images with depth')
    parser.add_argument('--branch', choices=('visible', 'thermal'), default='visible', help='(%(default)s)')
    parser.add_argument('--weights', type=Path, nargs='+', metavar='FOLDER', help="default: the package's own")
    parser.add_argument('--model', metavar='FOLDER_OR_NAME', help='also a published network, as for ldfusion depth')
    parser.add_argument('--held-out', nargs='+', metavar='PATTERN', help="names; default: those of the branch's recipe")
    parser.add_argument('--recipe', type=Path, metavar='FILE', help='default: the one of the shipped branch')
    parser.add_argument('--camera-height', type=positive_number, default=1.65, metavar='M', help='of the ground plane')
    parser.add_argument('--output', type=Path, metavar='FOLDER', help='write report.md, report.json and worst.png')
    parser.set_defaults(run=run_places)


def run_places(arguments: argparse.Namespace) -> int:
    """Measure every set of weights and the baselines on every frame."""
    from ldfusion_training.commands.train import RECIPES, read_recipe
    from ldfusion_training.data.places import folder_and_pattern
    from ldfusion_training.evaluation import places as evaluation

    recipe = read_recipe(arguments.recipe or RECIPES / f'depth_{arguments.branch}.yaml')['data']
    known = [folder_and_pattern(folder)[0] for name in ('folders', 'luminance') for folder in recipe.get(name, ())]
    frames, others = evaluation.open_frames(arguments.data, known, arguments.held_out or recipe['held_out'])
    methods = {str(folder or 'shipped'): _branch(arguments.branch, folder) for folder in arguments.weights or [None]}
    if arguments.model:
        methods[arguments.model] = _published(arguments.branch, arguments.model)
    baselines = {'ground plane': evaluation.ground_plane(arguments.camera_height)}
    if others:
        baselines['mean depth map'] = evaluation.mean_map(others)
    scores = evaluation.measure(frames, {**methods, **baselines})
    print(evaluation.report(frames, scores))
    if arguments.output:
        first = next(iter(methods))
        write_text(arguments.output / 'report.md', evaluation.report(frames, scores))
        write_json(arguments.output / 'report.json', evaluation.as_json(frames, scores))
        sheet = evaluation.worst_sheet(frames, scores[first], methods[first], WORST)
        write_image(arguments.output / 'worst.png', sheet)
    return 0


def _branch(branch: str, weights: Path | None) -> 'Method':
    from ldfusion_models.rig.depth_estimator import DepthEstimator
    from ldfusion_training.evaluation.places import Estimate

    estimator = DepthEstimator.load(branch, weights)
    return lambda sample: Estimate(*estimator.with_deviation(sample.image, sample.camera.fx))


def _published(branch: str, model: str) -> 'Method':
    from ldfusion_training.commands.depth import load_estimator
    from ldfusion_training.evaluation.places import Estimate

    estimator = load_estimator(branch, model)
    return lambda sample: Estimate(estimator(sample.image))
