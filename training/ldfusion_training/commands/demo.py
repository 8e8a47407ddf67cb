"""``ldfusion demo``: a recording through the fusion node over real ROS 2."""

import argparse
from pathlib import Path

from ldfusion_models.engines import ENGINES
from ldfusion_models.errors import InputError
from ldfusion_training.commands import Subparsers, positive_number


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'demo',
        help='replay a recording through fusion_node and look at the results',
        description='Replays a recording in real time to fusion_node, records the outputs, and writes report.json, '
        'contact_sheet.png and outputs (rosbag2). Without --bag or folders the recording is simulated.',
    )
    parser.add_argument('--bag', type=Path, help='recording (rosbag2; MCAP or sqlite3)')
    parser.add_argument('--visible', type=Path, help='folder of visible images, with --thermal')
    parser.add_argument('--thermal', type=Path, help='folder of thermal images, with --visible')
    parser.add_argument('--visible-topic', metavar='TOPIC', help='image topic of the recording, with --thermal-topic')
    parser.add_argument('--thermal-topic', metavar='TOPIC', help='image topic of the recording, with --visible-topic')
    parser.add_argument('--output', type=Path, default=Path('out/demo'), help='folder (default %(default)s)')
    parser.add_argument('--engine', choices=('auto', *ENGINES), default='auto')
    parser.add_argument(
        '--rate', type=positive_number, default=1.0, help='speed of the replay (default %(default)g, as recorded)'
    )
    parser.add_argument(
        '--view',
        type=int,
        nargs='?',
        const=8765,
        metavar='PORT',
        help='show everything in the Foxglove app, at this port (default 8765)',
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make or take the recording, run it, and say where the results are."""
    from ldfusion_training.demo.run import RESULTS, DemoConfig, run_demo
    from ldfusion_training.recordings.image_topics import Streams

    topics = (arguments.visible_topic, arguments.thermal_topic)
    if any(topics) and not all(topics):
        raise InputError('--visible-topic and --thermal-topic need each other')
    streams = Streams(*topics) if all(topics) else None
    output = arguments.output
    recording = _recording(arguments)
    report = run_demo(DemoConfig(recording, output, streams, arguments.engine, arguments.rate, arguments.view))
    sent, latency = report['frames_in'], report['latency_ms']
    print(
        f'{report["frames_out"]["fused"]} fused of {sent["visible"]} visible and {sent["thermal"]} thermal images; '
        f'latency {latency["p50"]} ms (p50), {latency["p95"]} ms (p95)'
    )
    for name in (*RESULTS, 'outputs'):
        print(output / name)
    return 0


def _recording(arguments: argparse.Namespace) -> Path:
    from ldfusion_training.demo.recordings import recording_of_pairs, simulated_recording

    folders = (arguments.visible, arguments.thermal)
    if arguments.bag is not None:
        if any(folders):
            raise InputError('give either a recording or folders of images, not both')
        return Path(arguments.bag)
    if any(folders):
        if not all(folders):
            raise InputError('folders of visible and of thermal images need each other')
        return recording_of_pairs(*folders, arguments.output / 'recording')
    return simulated_recording(arguments.output / 'simulated')
