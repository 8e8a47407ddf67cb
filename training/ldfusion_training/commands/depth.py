"""``ldfusion depth``: image files or folders of one modality to metric depth."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from ldfusion_models.errors import naming
from ldfusion_models.files import depth_to_millimetres, list_images, read_image, write_image
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.commands import Subparsers, positive_number
from ldfusion_training.report.run_summary import RunSummary

if TYPE_CHECKING:
    from ldfusion_models.networks.published_depth import PublishedEstimator


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'depth',
        help='estimate depth of single images',
        description='Writes OUTPUT/depth/NAME.png (16 bits, millimetres, 0 = unknown or beyond 65.5 m) and '
        'OUTPUT/summary.json.',
    )
    parser.add_argument('--image', type=Path, required=True, help='image or folder')
    parser.add_argument('--branch', choices=('visible', 'thermal'), required=True, help='what the images are')
    parser.add_argument('--output', type=Path, required=True, help='folder')
    parser.add_argument(
        '--model',
        metavar='FOLDER_OR_NAME',
        help="a published metric network instead of the package's own, through transformers: a local folder, or "
        'OWNER/NAME, which is downloaded (ZoeDepth, Depth Anything V2 metric); it does not use --fx',
    )
    parser.add_argument('--fx', type=positive_number, metavar='PX', help='focal length of the images')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Estimate the depth of every image."""
    images = list_images(arguments.image)
    estimator = load_estimator(arguments.branch, arguments.model)
    summary = RunSummary()
    for path in tqdm(images, unit='image', disable=None):
        image = read_image(path)
        with naming(path), summary.timed(image.shape[1], image.shape[0]):
            depth = estimator(image, arguments.fx)
        write_image(arguments.output / 'depth' / f'{path.stem}.png', depth_to_millimetres(depth))
    summary.write(
        arguments.output / 'summary.json', branch=arguments.branch, model=arguments.model, focal_length_px=arguments.fx
    )
    print(f'{len(images)} depth maps in {arguments.output}')
    return 0


def load_estimator(
    branch: str, model: str | None, weights: Path | None = None
) -> 'DepthEstimator | PublishedEstimator':
    """The branch from a folder of weights (by default the package's own), or a published model; raises InputError."""
    if model is None:
        return DepthEstimator.load(branch, weights)
    from ldfusion_models.networks.published_depth import PublishedDepth, PublishedEstimator

    return PublishedEstimator(PublishedDepth.load(model), branch)
