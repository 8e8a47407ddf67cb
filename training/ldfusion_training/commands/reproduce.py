"""``ldfusion reproduce``: the paper's tables on a person's own data sets, beside the printed numbers."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.engines import ENGINES
from ldfusion_models.errors import InputError
from ldfusion_training.commands import Subparsers, folders_in
from ldfusion_training.data.pairs import LAYOUTS
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ldfusion_training.data.pairs import Image8, Pair, PairSource
    from ldfusion_training.evaluation.fusion import Method, MethodScore
    from ldfusion_training.evaluation.reproduce import PaperTable

DATA_SETS = {'table1': 'TNO', 'table2': 'LLVIP', 'table3': 'RoadScene or LLVIP', 'table4': 'TNO'}
INCOMPLETE = 1


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with the tables as its sub-commands."""
    parser = subparsers.add_parser('reproduce', help="the paper's tables: measured here beside printed")
    tables = parser.add_subparsers(metavar='TABLE', required=True, dest='table')
    for name in ('table1', 'table2'):
        table = tables.add_parser(
            name,
            help=f'ours and published methods on {DATA_SETS[name]}',
            description=f'Fuses the pairs of {DATA_SETS[name]} with our weights, measures that and the results of '
            'published methods, and prints both beside the paper. Notes say which numbers cannot be compared.',
        )
        _add_data(table, name)
        ours = table.add_mutually_exclusive_group()
        ours.add_argument('--fused', type=Path, metavar='FOLDER', help='our results, if they are there already')
        ours.add_argument('--weights', type=Path, metavar='FOLDER', help='weights to fuse with; default: the shipped')
        table.add_argument('--engine', choices=('auto', *ENGINES), default='auto')
        table.add_argument('--peers', type=Path, metavar='FOLDER', help='each of its folders is a method: DenseFuse, …')
        table.add_argument('--baselines', action='store_true', help='also visible, thermal, average, maximum, pyramid')
        table.set_defaults(run=run_methods)
    for name, what in (('table3', 'depth estimators'), ('table4', 'the ablation')):
        table = tables.add_parser(
            name,
            help=f'training runs: {what}',
            description=f'Measures the training runs of {what} on pairs of {DATA_SETS[name]} and prints them beside '
            'the paper. A run is RUNS/NAME/checkpoint.pt of stage fusion or a folder of weights RUNS/NAME; recipes of '
            'the printed rows are in training/configs/ablations. Exit code 1: some are missing, and how to make them.',
        )
        _add_data(table, name)
        table.add_argument('--runs', type=Path, required=True, metavar='FOLDER', help='folder of training runs')
        table.set_defaults(run=run_runs)


def _add_data(table: argparse.ArgumentParser, name: str) -> None:
    table.add_argument('--data', type=Path, required=True, metavar='FOLDER', help=f'the data set: {DATA_SETS[name]}')
    table.add_argument('--layout', choices=LAYOUTS, default='auto', help='of its folders (default %(default)s)')
    table.add_argument('--split', default='test', help='of layouts that have one (default %(default)s)')
    table.add_argument('--pairs', type=int, default=0, metavar='N', help='only so many, evenly from all; default: all')
    table.add_argument('--json', type=Path, metavar='FILE', help='write all numbers, also those of each image')
    table.add_argument('--markdown', type=Path, metavar='FILE', help='write what is printed')


def run_methods(arguments: argparse.Namespace) -> int:
    """Tables I and II: methods side by side."""
    from ldfusion_training.evaluation import fusion as evaluation
    from ldfusion_training.evaluation.reproduce import OURS, paper_table

    table, pairs = paper_table(arguments.table), _pairs(arguments)
    peers = [evaluation.folder_method(folder, pairs) for folder in folders_in(arguments.peers)]
    baselines = evaluation.baseline_methods() if arguments.baselines else []
    if arguments.fused:
        fused = evaluation.folder_method(arguments.fused, pairs).fused
    else:
        fused = _own_fusion(arguments.engine, arguments.weights)
    _show(arguments, table, pairs, [evaluation.Method(OURS, fused), *peers, *baselines])
    return 0


def run_runs(arguments: argparse.Namespace) -> int:
    """Tables III and IV: training runs side by side."""
    from ldfusion_training.evaluation.fusion_runs import method_of_run
    from ldfusion_training.evaluation.reproduce import MANIFEST, find_runs, how_to_train, paper_table

    table = paper_table(arguments.table)
    there, missing = find_runs(table, arguments.runs)
    methods: list[Method] = []
    for row, file in there.items():
        if file.name == MANIFEST:
            methods += _methods_of_weights(row, file.parent, row in table.rows)
        else:
            methods.append(method_of_run(row, file))
    _show(arguments, table, _pairs(arguments), methods)
    for run in missing:
        print(f'ldfusion: {run.name} is missing; {how_to_train(run, arguments.runs)}', file=sys.stderr)
    return INCOMPLETE if missing else 0


def _pairs(arguments: argparse.Namespace) -> 'Sequence[PairSource]':
    from ldfusion_training.data.pairs import open_pairs

    if arguments.pairs < 0:
        raise InputError(f'--pairs {arguments.pairs}: give how many pairs, or leave it out for all')
    pairs = open_pairs(arguments.data, arguments.layout, arguments.split).pairs
    count = min(arguments.pairs or len(pairs), len(pairs))
    return [pairs[index * len(pairs) // count] for index in range(count)]


def _own_fusion(engine: str, weights: Path | None) -> 'Callable[[str, Pair], Image8]':
    from ldfusion_models.engines import create_engine
    from ldfusion_models.rig.pipeline import Pipeline

    pipeline = Pipeline(create_engine(engine, weights))
    return lambda _, pair: pipeline(pair.visible, pair.thermal).fused


def _methods_of_weights(row: str, folder: Path, captioned_only: bool) -> 'list[Method]':
    """Released weights without text, and, if they have learned text, with a caption of each pair."""
    from ldfusion_models.graph.manifest import read_manifest
    from ldfusion_training.evaluation.fusion import Method

    encoder = read_manifest(folder).text_encoder
    if not encoder:
        return [Method(row, _own_fusion('auto', folder))]
    captioned = _captioned_fusion(folder, encoder)
    if captioned_only:
        return [Method(row, captioned)]
    return [Method(row, _own_fusion('auto', folder)), Method(f'{row} with captions', captioned)]


def _captioned_fusion(folder: Path, encoder: str) -> 'Callable[[str, Pair], Image8]':
    from ldfusion_models.engines import create_engine
    from ldfusion_models.language.guidance import PairCaptioner
    from ldfusion_models.language.text import EMBEDDED, load_text_encoder
    from ldfusion_models.rig.pipeline import Pipeline

    pipeline = Pipeline(create_engine('auto', folder))
    captioner = PairCaptioner.load(weights=folder)
    text = load_text_encoder(EMBEDDED if encoder.startswith(EMBEDDED) else encoder, folder)

    def fused(_: str, pair: 'Pair') -> 'Image8':
        caption = captioner(pair.visible, pair.thermal).text
        return pipeline(pair.visible, pair.thermal, text=text.encode([caption])[0]).fused

    return fused


def _show(
    arguments: argparse.Namespace, table: 'PaperTable', pairs: 'Sequence[PairSource]', methods: 'Sequence[Method]'
) -> None:
    from tqdm import tqdm

    from ldfusion_training.evaluation.fusion import score_methods
    from ldfusion_training.evaluation.reproduce import comparison_json, printed_name, report

    measured = score_methods(tqdm(pairs, unit='pair', disable=None), methods)
    scores: dict[str, MethodScore] = {}
    others: list[MethodScore] = []
    for score in measured:
        row = printed_name(table, score.name)
        if row is None:
            others.append(score)
        else:
            scores[row] = score
    text = report(table, scores, others) + f'\n\nMeasured on {len(pairs)} pairs of {arguments.data}.'
    print(text)
    if arguments.json:
        write_json(arguments.json, comparison_json(table, scores, others) | {'pairs': [pair.name for pair in pairs]})
    if arguments.markdown:
        write_text(arguments.markdown, text)
