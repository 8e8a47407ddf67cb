"""``ldfusion evaluate bag`` and ``ldfusion evaluate compare``: recordings offline, and two evaluations side by side."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.shown import one_line
from ldfusion_training.commands.options import EngineName, Positive

if TYPE_CHECKING:
    from ldfusion_training.bag_evaluation.settings import BagSettings

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


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateBag:
    """Recordings offline: every pair fused and measured, with a report.

    Fuses every pair of rosbag2 recordings (MCAP or sqlite3, compressed or not) as fusion_node would, without ROS,
    and writes OUTPUT/report.html, report.json, frames.csv and latency.json. A rerun goes on where one was
    interrupted. Exit code 0: all was read and evaluated; 1: part of it, as said on stderr and in the report; 2:
    nothing.
    """

    bags: tuple[Path, ...] = field(kw_only=False)
    """folder of a recording, or one of its files"""
    output: Path
    """folder for the results"""
    parameters: Path | None = None
    """the node's parameter file; options go first"""
    engine: EngineName | None = None
    """runtime of the networks"""
    weights: str | None = None
    """weights; default: those of the package"""
    inference_size: int | None = None
    """reduce longer images to so many pixels"""
    threads: int | None = None
    """CPU threads of the engine"""
    registration_file: str | None = None
    """how the thermal image lies in the visible one (default: aligned), and where scanners are (default: /tf_static)"""
    sync_tolerance: float | None = None
    """seconds that the stamps of a pair may differ"""
    clock_offset: float | None = None
    """seconds added to thermal stamps"""
    fallback_field_of_view: float | None = None
    """of a visible camera without camera_info"""
    camera_height: float | None = None
    """metres above the ground, which correct depth"""
    visible_topic: str = ''
    thermal_topic: str = ''
    depth_topic: str = ''
    """measured depth image; none: leave it out"""
    points_topic: str = ''
    """laser scans; none: leave them out"""
    ranges_topic: str = ''
    """point cloud, laser scan or sonars (Range) that correct depth, as on the robot, placed by /tf_static or the
    registration file; depth is then judged by another topic"""
    pair_by: Literal['stamps', 'arrival'] = 'stamps'
    """by the stamps of the headers, or, where those are wrong, by when the messages were recorded"""
    metrics_every: int = 5
    """VIF, Qabf, SSIM, Nabf, chroma error, flicker and depth of every Nth frame (default; 1: of all, 0: no
    measures); the other measures are of all frames
    """
    depth_tolerance: Positive = 0.02
    """between depth and visible image"""
    near: Positive = 0.001
    """nearest depth that counts"""
    far: Positive = 80.0
    """farthest depth that counts"""
    output_bag: bool = False
    """recordings/NAME/outputs: fused images and depth"""
    mp4: bool = False
    """recordings/NAME/video.mp4: inputs, fused image and depth"""
    workers: int = 1
    """recordings at a time"""
    ray: str | None = None
    """on the Ray cluster at this address; local: on one made on this machine"""


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateCompare:
    """Two evaluated recordings side by side.

    Reads what two runs of "ldfusion evaluate bag" wrote, prints how the measures differ over the frames that both
    have, with 95 % confidence intervals, and writes OUTPUT/compare.html with pictures, compare.json and compare.md.
    """

    a: Path = field(kw_only=False)
    """folder of the first evaluation"""
    b: Path = field(kw_only=False)
    """folder of the second one"""
    output: Path
    """folder for the results"""


def run(options: EvaluateBag) -> int:
    """Evaluate the recordings."""
    from ldfusion_training.bag_evaluation.batch import Batch, evaluate_all
    from ldfusion_training.bag_evaluation.page import PAGE, write_report_page
    from ldfusion_training.bag_evaluation.summary import RECORDINGS, Evaluated, latencies, write_summary

    if options.workers < 1:
        raise InputError(f'--workers {options.workers}: at least one is needed')
    settings = settings_from(options)
    batch = Batch(options.workers, options.ray)
    results = evaluate_all(options.bags, options.output, settings, batch)
    failed = {name: words for name, words in results.items() if words}
    if len(failed) == len(results):
        raise InputError('; '.join(failed.values()))
    evaluated = [Evaluated.read(options.output / RECORDINGS / name) for name in results if name not in failed]
    report = write_summary(options.output, evaluated, failed)
    write_report_page(options.output / PAGE, report, evaluated, latencies(evaluated))
    return _say(report, options.output)


def settings_from(options: EvaluateBag) -> 'BagSettings':
    """The settings that the options say.

    Raises:
        InputError: a value that can't be, or an unreadable parameter file.
    """
    from ldfusion_models.rig.settings import NodeSettings
    from ldfusion_training.bag_evaluation.settings import BagSettings, Topics, node_settings
    from ldfusion_training.evaluation.depth_metrics import DepthRange

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
            print(one_line(f'ldfusion: {recording["name"]}: {words}'), file=sys.stderr)
    for name, words in incomplete:
        print(one_line(f'ldfusion: {name}: {words}'), file=sys.stderr)
    print(f'{report["frames"]} frames of {len(rows)} recordings in {output}')
    return INCOMPLETE if incomplete else 0


def run_compare(options: EvaluateCompare) -> int:
    """Compare two evaluations."""
    from ldfusion_training.bag_evaluation.compare import PAGE, Evaluation, as_markdown, write_comparison

    a, b = Evaluation.read(options.a), Evaluation.read(options.b)
    differences = write_comparison(options.output, a, b)
    print(as_markdown(a, b, differences))
    print(f'pictures in {options.output / PAGE}')
    return 0
