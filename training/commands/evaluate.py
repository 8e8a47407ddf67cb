"""``ldfusion evaluate``: measures of fused images and of depth, as tables and pictures."""

import argparse
from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_models.files import match_pairs, write_image
from ldfusion_training.commands import Subparsers
from ldfusion_training.tables import write_json, write_text


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its sub-commands."""
    parser = subparsers.add_parser('evaluate', help='measure fused images or depth')
    kinds = parser.add_subparsers(metavar='KIND', required=True)
    _add_fusion(kinds)


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
    parser.add_argument('--baselines', action='store_true', help='also visible, infrared, average, maximum, pyramid')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write means and the values of each image')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write the tables of means and of each image')
    parser.add_argument('--sheet', type=Path, metavar='FILE.png', help='write a contact sheet of all results')
    parser.set_defaults(run=run_fusion)


def run_fusion(arguments: argparse.Namespace) -> int:
    """Measure every result on every pair."""
    from ldfusion_training import fusion_evaluation as evaluation
    from ldfusion_training.data.pairs import PairSource

    pairs = [
        PairSource(visible.stem, visible, thermal)
        for visible, thermal in match_pairs(arguments.visible, arguments.thermal)
    ]
    folders = [*_folders_in(arguments.peers), *arguments.fused]
    methods = evaluation.baseline_methods() if arguments.baselines else []
    methods += [evaluation.folder_method(folder, pairs) for folder in folders]
    if not methods:
        raise InputError('nothing to measure; give --fused, --peers or --baselines')
    scores = evaluation.score_methods(pairs, methods)
    print(evaluation.report(scores))
    if arguments.json:
        write_json(arguments.json, evaluation.as_json(scores))
    if arguments.markdown:
        write_text(arguments.markdown, evaluation.report(scores, per_image=True))
    if arguments.sheet:
        write_image(arguments.sheet, evaluation.sheet(pairs, methods))
    return 0


def _folders_in(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    if not found:
        raise InputError(f'{folder}: holds no folders of results')
    return found
