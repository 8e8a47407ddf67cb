"""``ldfusion demo``: a recording through the fusion node over real ROS 2."""

from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_training.demo import run as demo
from ldfusion_training.demo.recordings import recording_of_pairs, simulated_recording
from ldfusion_training.options.demo import Demo
from ldfusion_training.recordings.image_topics import Streams


def run_demo(options: Demo) -> int:
    """Make or take the recording, run it, and say where the results are."""
    visible_topic, thermal_topic = options.visible_topic, options.thermal_topic
    if bool(visible_topic) != bool(thermal_topic):
        raise InputError('--visible-topic and --thermal-topic need each other')
    streams = Streams(visible_topic, thermal_topic) if visible_topic and thermal_topic else None
    output = options.output
    recording = _recording(options)
    report = demo.run_demo(demo.DemoConfig(recording, output, streams, options.engine, options.rate, options.view))
    sent, latency = report['frames_in'], report['latency_ms']
    print(
        f'{report["frames_out"]["fused"]} fused of {sent["visible"]} visible and {sent["thermal"]} thermal images; '
        f'latency {latency["p50"]} ms (p50), {latency["p95"]} ms (p95)'
    )
    for name in (*demo.RESULTS, 'outputs'):
        print(output / name)
    return 0


def _recording(options: Demo) -> Path:
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
