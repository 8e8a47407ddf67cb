"""``ldfusion evaluate captions`` and ``evaluate text``: what captions and text embeddings tell rightly."""

import argparse
from pathlib import Path
from typing import Any

from ldfusion_training.commands import Subparsers
from ldfusion_training.report.tables import write_json, write_text


def add_captions(kinds: Subparsers) -> None:
    """Add ``evaluate captions``."""
    parser = kinds.add_parser(
        'captions',
        help='what captions of simulated scenes tell rightly',
        description='Writes captions of both cameras and compares them with the truth: objects, sides, distances, '
        'light and weather, beside a caption that is always the same. Prints the tables.',
    )
    _add_scenes(parser)
    parser.add_argument('--weights', type=Path, metavar='FOLDER', help="default: the package's own")
    parser.add_argument('--captions', type=Path, metavar='FILE', help='write all captions with the truth (JSON)')
    parser.set_defaults(run=run_captions)


def run_captions(arguments: argparse.Namespace) -> int:
    """Measure the captioner."""
    from tqdm import tqdm

    from ldfusion_training.language import evaluation, reports
    from ldfusion_training.language.scenes import read_scenes

    scenes = read_scenes([arguments.scenes], [arguments.every])
    with tqdm(total=2 * len(scenes), unit='image') as bar:
        scores, captions = reports.measure_captions(scenes, arguments.weights, bar.update)
    _report(arguments, evaluation.caption_report(scores), evaluation.as_json(scores))
    if arguments.captions:
        write_json(arguments.captions, {each['scene']: each for each in captions})
    return 0


def add_text(kinds: Subparsers) -> None:
    """Add ``evaluate text``."""
    parser = kinds.add_parser(
        'text',
        help='whether text embeddings join wordings and tell facts apart',
        description='Words the facts of simulated scenes in several ways and with one aspect changed, and compares the '
        'embeddings. Prints the table.',
    )
    _add_scenes(parser)
    parser.add_argument('--encoder', default='embedded', help='embedded, ARCH/PRETRAINED of open_clip, or a folder')
    parser.set_defaults(run=run_text)


def run_text(arguments: argparse.Namespace) -> int:
    """Measure a text encoder."""
    from ldfusion_models.language.text import load_text_encoder
    from ldfusion_training.language import evaluation, reports
    from ldfusion_training.language.scenes import read_scenes

    encoder = load_text_encoder(arguments.encoder)
    scores, ranks = reports.measure_text(encoder, read_scenes([arguments.scenes], [arguments.every]))
    content = {**evaluation.as_json(scores), 'first': ranks[0], 'first five': ranks[1]}
    _report(arguments, reports.text_report(encoder.name, scores, ranks), content)
    return 0


def _add_scenes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--scenes', type=Path, required=True, metavar='FOLDER', help='data set of ldfusion simulate')
    parser.add_argument('--every', type=_count, default=1, metavar='N', help='use one in N frames')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the values')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write the tables')


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number above 0')
    return int(text)


def _report(arguments: argparse.Namespace, text: str, content: dict[str, Any]) -> None:
    print(text)
    if arguments.json:
        write_json(arguments.json, content)
    if arguments.markdown:
        write_text(arguments.markdown, text)
