"""``ldfusion evaluate bag`` and ``ldfusion evaluate compare``: recordings offline, and two evaluations side by side."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_models.shown import one_line
from ldfusion_training.bag_evaluation import compare, page
from ldfusion_training.bag_evaluation.batch import Batch, evaluate_all
from ldfusion_training.bag_evaluation.measures import MEASURES
from ldfusion_training.bag_evaluation.settings import BagSettings, Topics, node_settings
from ldfusion_training.bag_evaluation.summary import RECORDINGS, Evaluated, latencies, write_summary
from ldfusion_training.evaluation.depth_metrics import DepthRange
from ldfusion_training.options.evaluate.bag import EvaluateBag, EvaluateCompare
from ldfusion_training.report.tables import markdown_table

INCOMPLETE = 1
# Options that are parameters of the node, with the same names.
NODE_OPTIONS = (
    'engine',
    'weights',
    'inference_size',
    'threads',
    'registration_file',
    'sync_tolerance',
    'clock_offset',
    'fallback_field_of_view',
    'camera_height',
)


def run_bag(options: EvaluateBag) -> int:
    """Evaluate the recordings."""
    if options.workers < 1:
        raise InputError(f'--workers {options.workers}: at least one is needed')
    settings = settings_from(options)
    batch = Batch(options.workers, options.ray)
    results = evaluate_all(options.bags, options.output, settings, batch)
    failed = {name: reason for name, reason in results.items() if reason}
    if len(failed) == len(results):
        raise InputError('; '.join(failed.values()))
    evaluated = [Evaluated.read(options.output / RECORDINGS / name) for name in results if name not in failed]
    report = write_summary(options.output, evaluated, failed)
    page.write_report_page(options.output / page.PAGE, report, evaluated, latencies(evaluated))
    return _say(report, options.output)


def settings_from(options: EvaluateBag) -> BagSettings:
    """The settings that the options say.

    Raises:
        InputError: a value that can't be, or an unreadable parameter file.
    """
    node = node_settings(options.parameters) if options.parameters else NodeSettings()
    given = {name: getattr(options, name) for name in NODE_OPTIONS if getattr(options, name) is not None}
    return BagSettings(
        node=replace(node, **given),
        topics=Topics(
            *(getattr(options, f'{name}_topic') for name in ('visible', 'thermal', 'depth', 'points', 'ranges'))
        ),
        metrics_every=options.metrics_every,
        depth_tolerance=options.depth_tolerance,
        pair_by=options.pair_by,
        depth_range=DepthRange(options.near, options.far),
        output_bag=options.output_bag,
        mp4=options.mp4,
    )


def _say(report: dict[str, Any], output: Path) -> int:
    """Print the means, and on stderr what is incomplete; returns the exit code."""
    names = [measure.name for measure in MEASURES if measure.name in report['measures']]
    rows = [
        [recording['name'], *(recording['measures'].get(name, {}).get('mean', float('nan')) for name in names)]
        for recording in report['recordings']
    ]
    print(markdown_table(['recording', *names], rows))
    incomplete = [
        (recording['name'], problem) for recording in report['recordings'] for problem in recording['problems']
    ]
    incomplete += report['failed'].items()
    for recording in report['recordings']:
        for note in recording['notes']:
            print(one_line(f'ldfusion: {recording["name"]}: {note}'), file=sys.stderr)
    for name, problem in incomplete:
        print(one_line(f'ldfusion: {name}: {problem}'), file=sys.stderr)
    print(f'{report["frames"]} frames of {len(rows)} recordings in {output}')
    return INCOMPLETE if incomplete else 0


def run_compare(options: EvaluateCompare) -> int:
    """Compare two evaluations."""
    a, b = compare.Evaluation.read(options.a), compare.Evaluation.read(options.b)
    differences = compare.write_comparison(options.output, a, b)
    print(compare.as_markdown(a, b, differences))
    print(f'pictures in {options.output / compare.PAGE}')
    return 0
