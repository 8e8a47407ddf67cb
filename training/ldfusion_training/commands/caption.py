"""``ldfusion caption``: what pairs of images show, in words."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import match_pairs, read_image
from ldfusion_training.commands import Subparsers, positive_number

if TYPE_CHECKING:
    from ldfusion_models.language.guidance import PairCaptioner


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'caption',
        help='describe pairs of images',
        description='Prints the captions of the visible and of the thermal image of each pair, made from image and '
        'estimated depth. Folders are paired by file name. With --dataset: writes texts.json, from which modulation is '
        'trained, into a simulated data set.',
    )
    parser.add_argument('--visible', type=Path, help='image or folder')
    parser.add_argument('--thermal', type=Path, help='image or folder, 8 or 16 bits, aligned to visible')
    parser.add_argument('--fx', type=positive_number, metavar='PX', help='focal length of the visible images')
    parser.add_argument('--json', action='store_true', help='print one JSON object per pair')
    parser.add_argument(
        '--captioner', default='embedded', metavar='NAME', help='(%(default)s) or a published one by name or folder'
    )
    parser.add_argument('--dataset', type=Path, metavar='FOLDER', help='simulated data set that gets texts.json')
    parser.add_argument('--labels', action='store_true', help='with --dataset: captions from its labels, at once')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Describe every pair."""
    from ldfusion_models.language.guidance import PairCaptioner

    if arguments.dataset:
        if arguments.visible or arguments.thermal:
            raise InputError('--dataset has its own images; leave out --visible and --thermal')
        return _write_texts(arguments.dataset, None if arguments.labels else PairCaptioner.load(arguments.captioner))
    if not (arguments.visible and arguments.thermal):
        raise InputError('give --visible and --thermal, or --dataset')
    pairs = match_pairs(arguments.visible, arguments.thermal)
    captioner = PairCaptioner.load(arguments.captioner)
    for visible_path, thermal_path in pairs:
        visible, thermal = read_image(visible_path), read_image(thermal_path)
        with naming(visible_path):
            captions = captioner(visible, thermal, arguments.fx)
        if arguments.json:
            told = {'name': visible_path.stem, 'visible': captions.visible, 'thermal': captions.thermal}
            print(json.dumps({**told, 'text': captions.text}, ensure_ascii=False))
        else:
            print(f'{visible_path.stem}: {captions.text}' if len(pairs) > 1 else captions.text)
    return 0


def _write_texts(folder: Path, captioner: 'PairCaptioner | None') -> int:
    from tqdm import tqdm

    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.language.pair_texts import write_texts

    frames = open_simulation(folder)
    with tqdm(total=len(frames), unit='pair', disable=None) as bar:
        path = write_texts(folder, frames, captioner, bar.update)
    print(f'texts of {len(frames)} pairs in {path}')
    return 0
