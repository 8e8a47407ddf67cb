"""``ldfusion reproduce``: the paper's tables on a person's own data sets, beside the printed numbers."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_training.commands.options import EngineName, folders_in
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ldfusion_training.data.pairs import Image8, Pair, PairSource
    from ldfusion_training.evaluation.fusion import Method, MethodScore
    from ldfusion_training.evaluation.reproduce import PaperTable

INCOMPLETE = 1


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What all tables need."""

    data: Path
    """the data set of the table"""
    layout: Literal['auto', 'plain', 'split', 'llvip', 'roadscene', 'm3fd', 'kaist'] = 'auto'
    """of its folders"""
    split: str = 'test'
    """of layouts that have one"""
    pairs: int = 0
    """only so many, evenly from all; default: all"""
    json: Path | None = None
    """write all numbers, also those of each image"""
    markdown: Path | None = None
    """write what is printed"""


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class ReproduceMethods(TableOptions):
    """Ours and published methods.

    Fuses the pairs with our weights, measures that and the results of published methods, and prints both
    beside the paper. Notes say which numbers cannot be compared.
    """

    fused: Path | None = None
    """our results, if they are there already"""
    weights: Path | None = None
    """weights to fuse with; default: the shipped"""
    engine: EngineName = 'auto'
    peers: Path | None = None
    """each of its folders is a method: DenseFuse, …"""
    baselines: bool = False
    """also visible, thermal, average, maximum, pyramid"""


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class ReproduceRuns(TableOptions):
    """Training runs beside the paper.

    Measures training runs on pairs and prints them beside the paper.
    A run is RUNS/NAME/checkpoint.pt of stage fusion or a folder of weights RUNS/NAME; recipes of the printed rows
    are in training/configs/ablations. Exit code 1: some are missing, and how to make them.
    """

    runs: Path
    """folder of training runs"""


def table1(options: ReproduceMethods) -> int:
    """Ours and published methods on TNO."""
    return _compare_methods('table1', options)


def table2(options: ReproduceMethods) -> int:
    """Ours and published methods on LLVIP."""
    return _compare_methods('table2', options)


def table3(options: ReproduceRuns) -> int:
    """Training runs of depth estimators, on RoadScene or LLVIP."""
    return _compare_runs('table3', options)


def table4(options: ReproduceRuns) -> int:
    """Training runs of the ablation, on TNO."""
    return _compare_runs('table4', options)


def _compare_methods(name: str, options: ReproduceMethods) -> int:
    from ldfusion_training.evaluation import fusion as evaluation
    from ldfusion_training.evaluation.reproduce import OURS, paper_table

    table, pairs = paper_table(name), _pairs(options)
    peers = [evaluation.folder_method(folder, pairs) for folder in folders_in(options.peers)]
    baselines = evaluation.baseline_methods() if options.baselines else []
    if options.fused and options.weights:
        raise InputError('give either --fused or --weights, not both')
    if options.fused:
        fused = evaluation.folder_method(options.fused, pairs).fused
    else:
        fused = _own_fusion(options.engine, options.weights)
    _show(options, table, pairs, [evaluation.Method(OURS, fused), *peers, *baselines])
    return 0


def _compare_runs(name: str, options: ReproduceRuns) -> int:
    from ldfusion_training.evaluation.fusion_runs import method_of_run
    from ldfusion_training.evaluation.reproduce import MANIFEST, find_runs, how_to_train, paper_table

    table = paper_table(name)
    there, missing = find_runs(table, options.runs)
    methods: list[Method] = []
    for row, file in there.items():
        if file.name == MANIFEST:
            methods += _methods_of_weights(row, file.parent, row in table.rows)
        else:
            methods.append(method_of_run(row, file))
    _show(options, table, _pairs(options), methods)
    for run in missing:
        print(f'ldfusion: {run.name} is missing; {how_to_train(run, options.runs)}', file=sys.stderr)
    return INCOMPLETE if missing else 0


def _pairs(options: TableOptions) -> 'Sequence[PairSource]':
    from ldfusion_training.data.pairs import open_pairs

    if options.pairs < 0:
        raise InputError(f'--pairs {options.pairs}: give how many pairs, or leave it out for all')
    pairs = open_pairs(options.data, options.layout, options.split).pairs
    count = min(options.pairs or len(pairs), len(pairs))
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
    options: TableOptions, table: 'PaperTable', pairs: 'Sequence[PairSource]', methods: 'Sequence[Method]'
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
    text = report(table, scores, others) + f'\n\nMeasured on {len(pairs)} pairs of {options.data}.'
    print(text)
    if options.json:
        write_json(options.json, comparison_json(table, scores, others) | {'pairs': [pair.name for pair in pairs]})
    if options.markdown:
        write_text(options.markdown, text)
