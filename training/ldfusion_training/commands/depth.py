"""``ldfusion depth``: image files or folders of one modality to metric depth."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter
from tqdm import tqdm

from ldfusion_models.depth_files import DepthFormat, write_depth
from ldfusion_models.errors import naming
from ldfusion_models.files import list_images, read_image
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.commands.options import Positive
from ldfusion_training.report.run_summary import RunSummary

if TYPE_CHECKING:
    from ldfusion_models.networks.published_depth import PublishedEstimator


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Depth:
    """Estimate depth of single images.

    Writes OUTPUT/depth/NAME.png (16 bits, millimetres, 0 = unknown, 65535 = farther than that) and
    OUTPUT/summary.json.
    """

    image: Path
    """image or folder"""
    branch: Literal['visible', 'thermal', 'infrared']
    """what the images are"""
    output: Path
    """folder"""
    model: str | None = None
    """a published metric network instead of the package's own, through transformers: a local folder, or
    OWNER/NAME, which ldfusion models fetch has brought (ZoeDepth, Depth Anything V2 metric); it does not use --fx
    """
    fx: Positive | None = None
    """focal length of the images"""
    depth_format: DepthFormat = 'png'
    """png: 16 bits; tiff, npz: 32-bit floats, metres, NaN = unknown"""
    depth_units: Positive = 1000.0
    """of 16-bit depth, per metre: 1000 ends at 65.5 m, 256 at 256 m"""


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
        write_depth(options.output / 'depth', path.stem, depth, options.depth_format, options.depth_units)
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
