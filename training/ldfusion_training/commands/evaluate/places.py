"""``ldfusion evaluate places``: a depth branch where it has never been."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from ldfusion_models.files import write_image
from ldfusion_training.commands.options import Count, Positive
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from ldfusion_training.evaluation.places import Method

WORST = 8
# Those by which the shipped branches were trained last.
LAST_RECIPES = {'visible': 'depth_places', 'thermal': 'depth_thermal'}


@Parameter(name='*')
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


def run_places(options: EvaluatePlaces) -> int:
    """Measure every set of weights and the baselines on every frame."""
    from ldfusion_training.commands.train import RECIPES, read_recipe
    from ldfusion_training.data.places import folder_and_pattern
    from ldfusion_training.evaluation import places as evaluation

    recipe = read_recipe(options.recipe or RECIPES / f'{LAST_RECIPES[options.branch]}.yaml')['data']
    known = [folder_and_pattern(folder)[0] for name in ('folders', 'luminance') for folder in recipe.get(name, ())]
    frames, others = evaluation.open_frames(options.data, known, options.held_out or recipe['held_out'])
    methods = {str(folder or 'shipped'): _branch(options.branch, folder) for folder in options.weights or [None]}
    if options.model:
        methods[options.model] = _published(options.branch, options.model)
    plain = next(iter(methods.values()))
    methods['corrected by points'] = evaluation.corrected_by_points(plain, options.points)
    methods['corrected by height'] = evaluation.corrected_by_height(plain, options.camera_height)
    baselines = {'ground plane': evaluation.ground_plane(options.camera_height)}
    if others:
        baselines['mean depth map'] = evaluation.mean_map(others)
    scores = evaluation.measure(frames, {**methods, **baselines})
    print(evaluation.report(frames, scores))
    if options.output:
        first = next(iter(methods))
        write_text(options.output / 'report.md', evaluation.report(frames, scores))
        write_json(options.output / 'report.json', evaluation.as_json(frames, scores))
        sheet = evaluation.worst_sheet(frames, scores[first], methods[first], WORST)
        write_image(options.output / 'worst.png', sheet)
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
