"""``ldfusion evaluate bag`` and ``ldfusion evaluate compare``: recordings offline, and two evaluations side by side."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldfusion_models.engines import ENGINES
from ldfusion_models.errors import InputError
from ldfusion_training.commands import Subparsers, positive_number

if TYPE_CHECKING:
    from ldfusion_training.bag_evaluation.settings import BagSettings

INCOMPLETE = 1
# Options that are parameters of the node, with the same names.
NODE_OPTIONS = {
    'engine': {'choices': ('auto', *ENGINES), 'help': 'runtime of the networks'},
    'weights': {'metavar': 'FOLDER', 'help': 'weights; default: those of the package'},
    'inference_size': {'type': int, 'metavar': 'PX', 'help': 'reduce longer images to so many pixels'},
    'threads': {'type': int, 'metavar': 'N', 'help': 'CPU threads of the engine'},
    'registration_file': {'metavar': 'FILE', 'help': 'how the thermal image lies in the visible one; default: aligned'},
    'sync_tolerance': {'type': float, 'metavar': 'S', 'help': 'seconds that the stamps of a pair may differ'},
    'clock_offset': {'type': float, 'metavar': 'S', 'help': 'seconds added to thermal stamps'},
    'fallback_field_of_view': {'type': float, 'metavar': 'DEG', 'help': 'of a visible camera without camera_info'},
}


def add_bag(kinds: Subparsers) -> None:
    """Add ``bag``."""
    parser = kinds.add_parser(
        'bag',
        help='recordings offline: every pair fused and measured, with a report',
        description='Fuses every pair of rosbag2 recordings (MCAP or sqlite3, compressed or not) as fusion_node would, '
        'without ROS, and writes OUTPUT/report.html, report.json, frames.csv and latency.json. A rerun goes on where '
        'one was interrupted. Exit code 0: all was read and evaluated; 1: part of it, as said on stderr and in the '
        'report; 2: nothing.',
    )
    parser.add_argument('bags', type=Path, nargs='+', metavar='BAG', help='folder of a recording, or one of its files')
    parser.add_argument('--output', type=Path, required=True, metavar='DIR', help='folder for the results')
    node = parser.add_argument_group('as the node would run (its parameters)')
    node.add_argument('--parameters', type=Path, metavar='FILE', help="the node's parameter file; options go first")
    for name, options in NODE_OPTIONS.items():
        node.add_argument(f'--{name.replace("_", "-")}', **options)  # type: ignore[arg-type]
    topics = parser.add_argument_group('topics; found by their names if left out')
    topics.add_argument('--visible-topic', default='', metavar='T')
    topics.add_argument('--thermal-topic', default='', metavar='T')
    topics.add_argument('--depth-topic', default='', metavar='T', help='measured depth image; none: leave it out')
    topics.add_argument('--points-topic', default='', metavar='T', help='laser scans; none: leave them out')
    measures = parser.add_argument_group('measures')
    measures.add_argument(
        '--metrics-every',
        type=int,
        default=5,
        metavar='N',
        help='VIF, Qabf, SSIM, Nabf, chroma error, flicker and depth of every Nth frame (default %(default)s; 1: of '
        'all, 0: no measures); the other measures are of all frames',
    )
    measures.add_argument('--calibration', type=Path, metavar='FILE', help='where the scanner is; default: /tf_static')
    measures.add_argument(
        '--depth-tolerance', type=positive_number, default=0.02, metavar='S', help='between depth and visible image'
    )
    measures.add_argument('--near', type=positive_number, default=0.001, metavar='M', help='nearest depth that counts')
    measures.add_argument('--far', type=positive_number, default=80.0, metavar='M', help='farthest depth that counts')
    outputs = parser.add_argument_group('more outputs')
    outputs.add_argument('--output-bag', action='store_true', help='recordings/NAME/outputs: fused images and depth')
    outputs.add_argument('--mp4', action='store_true', help='recordings/NAME/video.mp4: inputs, fused image and depth')
    many = parser.add_argument_group('many recordings')
    many.add_argument('--workers', type=int, default=1, metavar='N', help='recordings at a time')
    many.add_argument(
        '--ray',
        nargs='?',
        const='local',
        metavar='ADDRESS',
        help='on a Ray cluster (needs ldfusion_ros[cluster]); without address on this machine',
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate the recordings."""
    from ldfusion_training.bag_evaluation.batch import Batch, evaluate_all
    from ldfusion_training.bag_evaluation.page import PAGE, write_report_page
    from ldfusion_training.bag_evaluation.summary import RECORDINGS, Evaluated, latencies, write_summary

    if arguments.workers < 1:
        raise InputError(f'--workers {arguments.workers}: at least one is needed')
    settings = settings_from(arguments)
    batch = Batch(arguments.workers, arguments.ray)
    results = evaluate_all(arguments.bags, arguments.output, settings, batch)
    failed = {name: words for name, words in results.items() if words}
    if len(failed) == len(results):
        raise InputError('; '.join(failed.values()))
    evaluated = [Evaluated.read(arguments.output / RECORDINGS / name) for name in results if name not in failed]
    report = write_summary(arguments.output, evaluated, failed)
    write_report_page(arguments.output / PAGE, report, evaluated, latencies(evaluated))
    return _say(report, arguments.output)


def settings_from(arguments: argparse.Namespace) -> 'BagSettings':
    """The settings that the options say.

    Raises:
        InputError: a value that can't be, or an unreadable parameter file.
    """
    from ldfusion_models.rig.settings import NodeSettings
    from ldfusion_training.bag_evaluation.settings import BagSettings, Topics, node_settings
    from ldfusion_training.evaluation.depth_metrics import DepthRange

    node = node_settings(arguments.parameters) if arguments.parameters else NodeSettings()
    given = {name: getattr(arguments, name) for name in NODE_OPTIONS if getattr(arguments, name) is not None}
    return BagSettings(
        node=replace(node, **given),
        topics=Topics(*(getattr(arguments, f'{name}_topic') for name in ('visible', 'thermal', 'depth', 'points'))),
        metrics_every=arguments.metrics_every,
        depth_tolerance=arguments.depth_tolerance,
        depth_range=DepthRange(arguments.near, arguments.far),
        calibration=str(arguments.calibration or ''),
        output_bag=arguments.output_bag,
        mp4=arguments.mp4,
    )


def _say(report: dict[str, Any], output: Path) -> int:
    """Print the means, and on stderr what is incomplete; returns the exit code."""
    from ldfusion_training.bag_evaluation.measures import MEASURES
    from ldfusion_training.report.tables import markdown_table

    names = [measure.name for measure in MEASURES if measure.name in report['measures']]
    rows = [
        [recording['name'], *(recording['measures'].get(name, {}).get('mean', float('nan')) for name in names)]
        for recording in report['recordings']
    ]
    print(markdown_table(['recording', *names], rows))
    incomplete = [(recording['name'], words) for recording in report['recordings'] for words in recording['problems']]
    incomplete += report['failed'].items()
    for recording in report['recordings']:
        for words in recording['notes']:
            print(f'ldfusion: {recording["name"]}: {words}', file=sys.stderr)
    for name, words in incomplete:
        print(f'ldfusion: {name}: {words}', file=sys.stderr)
    print(f'{report["frames"]} frames of {len(rows)} recordings in {output}')
    return INCOMPLETE if incomplete else 0


def add_compare(kinds: Subparsers) -> None:
    """Add ``compare``."""
    parser = kinds.add_parser(
        'compare',
        help='two evaluated recordings side by side',
        description='Reads what two runs of "ldfusion evaluate bag" wrote, prints how the measures differ over the '
        'frames that both have, with 95 %% confidence intervals, and writes OUTPUT/compare.html with pictures, '
        'compare.json and compare.md.',
    )
    parser.add_argument('a', type=Path, metavar='A', help='folder of the first evaluation')
    parser.add_argument('b', type=Path, metavar='B', help='folder of the second one')
    parser.add_argument('--output', type=Path, required=True, metavar='DIR', help='folder for the results')
    parser.set_defaults(run=run_compare)


def run_compare(arguments: argparse.Namespace) -> int:
    """Compare two evaluations."""
    from ldfusion_training.bag_evaluation.compare import PAGE, Evaluation, as_markdown, write_comparison

    a, b = Evaluation.read(arguments.a), Evaluation.read(arguments.b)
    differences = write_comparison(arguments.output, a, b)
    print(as_markdown(a, b, differences))
    print(f'pictures in {arguments.output / PAGE}')
    return 0
