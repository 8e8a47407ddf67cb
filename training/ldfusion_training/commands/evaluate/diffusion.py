"""``ldfusion evaluate diffusion``: what the denoiser has learned."""

import argparse
from pathlib import Path

from ldfusion_models.files import write_image
from ldfusion_training.commands import Subparsers
from ldfusion_training.report.tables import write_json, write_text


def add_diffusion(kinds: Subparsers) -> None:
    """Add ``evaluate diffusion``."""
    parser = kinds.add_parser(
        'diffusion',
        help='how well the denoiser tells noise from image, and what it draws from noise',
        description='Adds noise to pairs at several timesteps and measures what the denoiser makes of it: the mean '
        'square error of the predicted noise (eq. 8; a prediction of no noise at all has 1) and the PSNR of the image '
        'estimate beside that of the noisy image itself. Prints the table.',
    )
    parser.add_argument('--pairs', type=Path, required=True, metavar='FOLDER', help='pairs not trained on, any layout')
    parser.add_argument(
        '--weights', default='released', metavar='NAME', help='released, a folder of weights, or a checkpoint'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the values')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write what is printed')
    parser.add_argument(
        '--sheet',
        type=Path,
        metavar='FILE.png',
        help='write pairs, noisy, estimated and drawn anew from noise; below, pictures drawn from noise alone',
    )
    parser.set_defaults(run=run_diffusion)


def run_diffusion(arguments: argparse.Namespace) -> int:
    """Measure the denoiser."""
    from ldfusion_training.data.pairs import open_pairs
    from ldfusion_training.evaluation import diffusion as evaluation

    process = evaluation.load_process(arguments.weights)
    images = evaluation.read_images(open_pairs(arguments.pairs).pairs)
    scores = evaluation.measure(process, images)
    text = evaluation.diffusion_report(scores)
    print(text)
    if arguments.json:
        write_json(arguments.json, evaluation.diffusion_json(scores))
    if arguments.markdown:
        write_text(arguments.markdown, text)
    if arguments.sheet:
        write_image(arguments.sheet, evaluation.diffusion_sheet(process, images))
    return 0
