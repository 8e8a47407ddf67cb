"""``ldfusion reproduce``: the paper's tables, printed numbers beside ours, and its claims with intervals."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ldfusion_models.engines import create_engine
from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.commands.release import run_steps
from ldfusion_training.data.pairs import Image8, Pair, PairSource, open_pairs
from ldfusion_training.evaluation import fusion
from ldfusion_training.evaluation.fusion import Method, MethodScore
from ldfusion_training.evaluation.modalities import open_aligned
from ldfusion_training.evaluation.reproduce import (
    OURS,
    PaperTable,
    comparison_json,
    find_runs,
    how_to_train,
    paper_table,
    printed_name,
    report,
)
from ldfusion_training.language.real_pairs import FILE, open_labelled, read_real_pairs
from ldfusion_training.language.teacher_labels import Detector
from ldfusion_training.options.reproduce import ReproduceMethods, ReproduceRuns
from ldfusion_training.report.tables import show_report, write_json
from ldfusion_training.runs.chain import ablation_chain

if TYPE_CHECKING:
    from ldfusion_training.evaluation.claims.measuring import Material

INCOMPLETE = 1


def run_table1(options: ReproduceMethods) -> int:
    """Ours and published methods on TNO."""
    return _compare_methods('table1', options)


def run_table2(options: ReproduceMethods) -> int:
    """Ours and published methods on LLVIP."""
    return _compare_methods('table2', options)


def run_table3(options: ReproduceRuns) -> int:
    """Training runs with and without the depth-driven loss."""
    return _compare_runs('table3', options)


def run_table4(options: ReproduceRuns) -> int:
    """Training runs of the ablation."""
    return _compare_runs('table4', options)


def _compare_methods(name: str, options: ReproduceMethods) -> int:
    table, pairs = paper_table(name), _pairs(options)
    peers = [fusion.folder_method(folder, pairs) for folder in fusion.folders_in(options.peers)]
    baselines = fusion.baseline_methods() if options.baselines else []
    if options.fused and options.weights:
        raise InputError('give either --fused or --weights, not both')
    if options.fused:
        fused = fusion.folder_method(options.fused, pairs).fused
    else:
        fused = _own_fusion(options.engine, options.weights)
    _show(options, table, pairs, [fusion.Method(OURS, fused), *peers, *baselines])
    return 0


def _compare_runs(name: str, options: ReproduceRuns) -> int:
    from ldfusion_training.evaluation.claims import effects as evaluation
    from ldfusion_training.evaluation.claims.plot import plot

    table, folder = paper_table(name), options.runs / 'ablations'
    if options.train:
        steps = ablation_chain([run.name for run in table.runs if not run.made_by], options.seeds)
        code = run_steps(steps, options.data, options.runs, options.trial)
        if code:
            return code
    rows = _records(find_runs(table, folder), options)
    pairs = dict.fromkeys((claim.row, than) for claim in table.claims for than in claim.than)
    found = [
        effect for row, than in pairs if row in rows and than in rows for effect in evaluation.effects(rows, row, than)
    ]
    parts = [
        f'## {table.title}, measured here',
        evaluation.rows_table(rows),
        evaluation.effects_table(found),
        evaluation.claims_in_words(table.claims, rows, found),
    ]
    content = {'effects': [vars(effect) for effect in found]}
    show_report('\n\n'.join(parts), content, options.json, options.markdown)
    if options.plot and found:
        write_image(options.plot, plot(found))
    missing = [run for run in table.runs if len(rows.get(run.name, ())) < options.seeds]
    for run in missing:
        count = len(rows.get(run.name, ()))
        print(f'ldfusion: {run.name}: {count} of {options.seeds} seeds; {how_to_train(run, folder)}', file=sys.stderr)
    return INCOMPLETE if missing else 0


def _records(checkpoints: Mapping[str, Sequence[Path]], options: ReproduceRuns) -> dict[str, list[dict[str, Any]]]:
    """What was measured of each run, now or earlier."""

    from ldfusion_training.evaluation.claims.measuring import measure_run

    material = _material([file for files in checkpoints.values() for file in files], options)
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, files in checkpoints.items():
        for file in files:
            path = file.with_name('measured.json')
            record = json.loads(path.read_text()) if path.is_file() else {}
            if record.get('protocol') != material.protocol(file):
                total = len(material.pairs) + len(material.frames)
                with tqdm(total=total, desc=f'{name}/{file.parent.name}', disable=None) as bar:
                    record = measure_run(file, material, bar.update)
                write_json(path, record)
            rows.setdefault(name, []).append(record)
    return rows


def _material(checkpoints: Sequence[Path], options: ReproduceRuns) -> 'Material':
    """Labelled pairs of sets that no run was trained on, and simulated scenes."""
    from ldfusion_training.evaluation.claims.measuring import Material
    from ldfusion_training.runs.trainer import read_checkpoint

    folders = {folder for file in checkpoints for folder in read_checkpoint(file)['settings']['data']['folders']}
    trained = {'/'.join(Path(folder).parts[-2:]) for folder in folders}
    seen = [
        pair
        for pair in read_real_pairs(options.truth or FILE)
        if pair.split == 'validation' and pair.set not in trained
    ]
    simulated = options.simulated or options.runs / 'simulated/new'
    if simulated.is_dir() or options.simulated:
        frames = open_aligned(simulated)[:: options.every]
    else:
        print(f'ldfusion: {simulated} is not there, so no depth is measured; --train makes it', file=sys.stderr)
        frames = []
    detector = Detector(options.detector or options.data / 'teachers/yolox_nano.onnx')
    return Material(open_labelled(seen[:: options.every], options.data), frames, detector, options.height)


def _pairs(options: ReproduceMethods) -> Sequence[PairSource]:
    if options.pairs < 0:
        raise InputError(f'--pairs {options.pairs}: give how many pairs, or leave it out for all')
    pairs = open_pairs(options.data, options.layout, options.split).pairs
    count = min(options.pairs or len(pairs), len(pairs))
    return [pairs[index * len(pairs) // count] for index in range(count)]


def _own_fusion(engine: str, weights: Path | None) -> Callable[[str, Pair], Image8]:
    pipeline = Pipeline(create_engine(engine, weights))
    return lambda _, pair: pipeline(pair.visible, pair.thermal).fused


def _show(options: ReproduceMethods, table: PaperTable, pairs: Sequence[PairSource], methods: Sequence[Method]) -> None:
    measured = fusion.score_methods(tqdm(pairs, unit='pair', disable=None), methods)
    scores: dict[str, MethodScore] = {}
    others: list[MethodScore] = []
    for score in measured:
        row = printed_name(table, score.name)
        if row is None:
            others.append(score)
        else:
            scores[row] = score
    text = report(table, scores, others) + f'\n\nMeasured on {len(pairs)} pairs of {options.data}.'
    content = comparison_json(table, scores, others) | {'pairs': [pair.name for pair in pairs]}
    show_report(text, content, options.json, options.markdown)
