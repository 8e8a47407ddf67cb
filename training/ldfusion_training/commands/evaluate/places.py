"""``ldfusion evaluate places``: a depth branch where it has never been."""

from pathlib import Path

from ldfusion_models.files import write_image
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.commands.depth import load_estimator
from ldfusion_training.commands.train import RECIPES, read_recipe
from ldfusion_training.data.places import folder_and_pattern
from ldfusion_training.evaluation import places as evaluation
from ldfusion_training.evaluation.places import Estimate, Method
from ldfusion_training.options.evaluate.places import EvaluatePlaces
from ldfusion_training.report.tables import write_json, write_text

WORST = 8
# Those by which the shipped branches were trained last.
LAST_RECIPES = {'visible': 'depth_places', 'thermal': 'depth_thermal'}


def run_places(options: EvaluatePlaces) -> int:
    """Measure every set of weights and the baselines on every frame."""
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


def _branch(branch: str, weights: Path | None) -> Method:
    estimator = DepthEstimator.load(branch, weights)
    return lambda sample: Estimate(*estimator.with_deviation(sample.image, sample.camera.fx))


def _published(branch: str, model: str) -> Method:
    estimator = load_estimator(branch, model)
    return lambda sample: Estimate(estimator(sample.image))
