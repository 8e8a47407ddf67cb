"""``ldfusion evaluate prompts`` and ``evaluate guidance``: what texts do to the fused image."""

import argparse
from pathlib import Path

from ldfusion_models.files import write_image
from ldfusion_training.commands import Subparsers, whole_number
from ldfusion_training.report.tables import write_json, write_text

# What people ask for most, and the classes that these prompts are about.
PROMPTS = ('people', 'cars', 'road', 'trees', 'buildings')
CLASSES = ('person', 'car', 'road', 'tree', 'building')
TEXT_ROWS = ('none', 'own', 'shuffled')
PAIRS_ON_SHEET = 6


def add_prompts(kinds: Subparsers) -> None:
    """Add ``evaluate prompts``."""
    parser = kinds.add_parser(
        'prompts',
        help='what prompts do to the contrast of things',
        description='Fuses each pair without text and with each prompt, and measures the contrast of things with their '
        'surroundings: of labelled classes in simulated data, of upright hot spots ("person") in real pairs. Prints '
        'contrast relative to no text and the part of the pairs in which it rose.',
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--dataset', type=Path, metavar='FOLDER', help='simulated data set')
    source.add_argument('--pairs', type=Path, metavar='FOLDER', help='real pairs, any layout')
    parser.add_argument('--prompts', nargs='+', default=list(PROMPTS), metavar='TEXT', help='(%(default)s)')
    parser.add_argument('--classes', nargs='+', default=list(CLASSES), metavar='CLASS', help='(%(default)s)')
    _add_text_options(parser)
    parser.add_argument('--sheet', type=Path, metavar='FILE.png', help='write a contact sheet of a few pairs')
    parser.set_defaults(run=run_prompts)


def _add_text_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--weights', type=Path, metavar='FOLDER', help='default: those of the package')
    parser.add_argument('--text-encoder', default='embedded', metavar='NAME', help='embedded, ARCH/TAG or folder')
    parser.add_argument('--every', type=whole_number, default=1, metavar='N', help='only every Nth pair')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all values')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write what is printed')


def run_prompts(arguments: argparse.Namespace) -> int:
    """Measure every prompt on every pair."""
    from ldfusion_training.data.pairs import open_pairs
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation import prompts as evaluation

    fusion = evaluation.TextFusion(arguments.weights, arguments.text_encoder)
    if arguments.dataset:
        kinds = arguments.classes
        frames = open_simulation(arguments.dataset)[:: arguments.every]
        subjects = list(evaluation.simulated_subjects(frames, kinds))
    else:
        kinds = ['person']
        sources = open_pairs(arguments.pairs).pairs[:: arguments.every]
        subjects = list(evaluation.real_subjects(sources))
    scores = evaluation.score_prompts(fusion, subjects, arguments.prompts, kinds)
    _show(arguments, evaluation.prompt_report(scores), evaluation.prompts_as_json(scores, fusion))
    if arguments.sheet:
        shown = subjects[:: max(1, len(subjects) // PAIRS_ON_SHEET)][:PAIRS_ON_SHEET]
        write_image(arguments.sheet, evaluation.prompt_sheet(fusion, shown, arguments.prompts))
    return 0


def add_guidance(kinds: Subparsers) -> None:
    """Add ``evaluate guidance``."""
    parser = kinds.add_parser(
        'guidance',
        help="ablation: no text, each pair's own caption, another pair's",
        description='Fuses each pair without text (sigma = mu = 0), with its own text of texts.json, and with that of '
        'another scene; prints the contrast of what its own text names, and the usual measures.',
    )
    parser.add_argument('--dataset', type=Path, required=True, metavar='FOLDER', help='simulated data with texts.json')
    parser.add_argument('--rows', nargs='+', choices=TEXT_ROWS, default=list(TEXT_ROWS), help='(all)')
    parser.add_argument('--kind', choices=('caption', 'description'), default='caption', help='(%(default)s)')
    _add_text_options(parser)
    parser.set_defaults(run=run_guidance)


def run_guidance(arguments: argparse.Namespace) -> int:
    """Measure each row of the ablation."""
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation import prompts as evaluation
    from ldfusion_training.language.pair_texts import read_texts

    texts = read_texts(arguments.dataset)
    frames = [frame for frame in open_simulation(arguments.dataset) if frame.name in texts][:: arguments.every]
    fusion = evaluation.TextFusion(arguments.weights, arguments.text_encoder)
    rows = evaluation.score_texts(fusion, frames, texts, arguments.rows, arguments.kind)
    _show(arguments, evaluation.text_report(rows), dict(rows))
    return 0


def _show(arguments: argparse.Namespace, table: str, content: dict[str, object]) -> None:
    print(table)
    if arguments.json:
        write_json(arguments.json, content)
    if arguments.markdown:
        write_text(arguments.markdown, table)
