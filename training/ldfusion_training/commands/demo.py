"""``ldfusion demo``: a recording through the fusion node over real ROS 2."""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_training.commands.options import EngineName, Positive


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Demo:
    """Replay a recording through fusion_node and look at the results.

    Replays a recording in real time to fusion_node, records the outputs, and writes report.json, contact_sheet.png
    and outputs (rosbag2). Without --bag or folders the recording is simulated.
    """

    bag: Path | None = None
    """recording (rosbag2; MCAP or sqlite3)"""
    visible: Path | None = None
    """folder of visible images, with --thermal"""
    thermal: Path | None = None
    """folder of thermal images, with --visible"""
    visible_topic: str | None = None
    """image topic of the recording, with --thermal-topic"""
    thermal_topic: str | None = None
    """image topic of the recording, with --visible-topic"""
    output: Path = Path('out/demo')
    """folder (default"""
    engine: EngineName = 'auto'
    rate: Positive = 1.0
    """speed of the replay; 1 is as recorded"""
    view: int | None = None
    """show everything in the Foxglove app, at this port, such as 8765"""


DEFAULTS = Demo()


def run(options: Demo = DEFAULTS) -> int:
    """Make or take the recording, run it, and say where the results are."""
    from ldfusion_training.demo.run import RESULTS, DemoConfig, run_demo
    from ldfusion_training.recordings.image_topics import Streams

    visible_topic, thermal_topic = options.visible_topic, options.thermal_topic
    if bool(visible_topic) != bool(thermal_topic):
        raise InputError('--visible-topic and --thermal-topic need each other')
    streams = Streams(visible_topic, thermal_topic) if visible_topic and thermal_topic else None
    output = options.output
    recording = _recording(options)
    report = run_demo(DemoConfig(recording, output, streams, options.engine, options.rate, options.view))
    sent, latency = report['frames_in'], report['latency_ms']
    print(
        f'{report["frames_out"]["fused"]} fused of {sent["visible"]} visible and {sent["thermal"]} thermal images; '
        f'latency {latency["p50"]} ms (p50), {latency["p95"]} ms (p95)'
    )
    for name in (*RESULTS, 'outputs'):
        print(output / name)
    return 0


def _recording(options: Demo) -> Path:
    from ldfusion_training.demo.recordings import recording_of_pairs, simulated_recording

    visible, thermal = options.visible, options.thermal
    if options.bag is not None:
        if visible or thermal:
            raise InputError('give either a recording or folders of images, not both')
        return options.bag
    if visible and thermal:
        return recording_of_pairs(visible, thermal, options.output / 'recording')
    if visible or thermal:
        raise InputError('folders of visible and of thermal images need each other')
    return simulated_recording(options.output / 'simulated')
