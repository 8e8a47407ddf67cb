"""``ldfusion depth``: image files or folders of one modality to metric depth."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter
from tqdm import tqdm

from ldfusion_models.errors import naming
from ldfusion_models.files import depth_to_millimetres, list_images, read_image, write_image
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.commands.options import Positive
from ldfusion_training.report.run_summary import RunSummary

if TYPE_CHECKING:
    from ldfusion_models.networks.published_depth import PublishedEstimator


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Depth:
    """Estimate depth of single images.

    Writes OUTPUT/depth/NAME.png (16 bits, millimetres, 0 = unknown or beyond 65.5 m) and OUTPUT/summary.json.
    """

    image: Path
    """image or folder"""
    branch: Literal['visible', 'thermal', 'infrared']
    """what the images are"""
    output: Path
    """folder"""
    model: str | None = None
    """a published metric network instead of the package's own, through transformers: a local folder, or
    OWNER/NAME, which is downloaded (ZoeDepth, Depth Anything V2 metric); it does not use --fx
    """
    fx: Positive | None = None
    """focal length of the images"""


def run(options: Depth) -> int:
    """Estimate the depth of every image."""
    images = list_images(options.image)
    branch = 'thermal' if options.branch == 'infrared' else options.branch
    estimator = load_estimator(branch, options.model)
    summary = RunSummary()
    for path in tqdm(images, unit='image', disable=None):
        image = read_image(path)
        with naming(path), summary.timed(image.shape[1], image.shape[0]):
            depth = estimator(image, options.fx)
        write_image(options.output / 'depth' / f'{path.stem}.png', depth_to_millimetres(depth))
    summary.write(options.output / 'summary.json', branch=branch, model=options.model, focal_length_px=options.fx)
    print(f'{len(images)} depth maps in {options.output}')
    return 0


def load_estimator(
    branch: str, model: str | None, weights: Path | None = None
) -> 'DepthEstimator | PublishedEstimator':
    """The branch from a folder of weights (by default the package's own), or a published model; raises InputError."""
    if model is None:
        return DepthEstimator.load(branch, weights)
    from ldfusion_models.networks.published_depth import PublishedDepth, PublishedEstimator

    return PublishedEstimator(PublishedDepth.load(model), branch)
