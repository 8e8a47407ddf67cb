"""The whole way of a frame over real ROS 2: replay a recording to ``fusion_node``, record and judge what comes out."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.demo.domain import free_domain
from ldfusion_training.demo.processes import Child, find_executable
from ldfusion_training.demo.recordings import make_room
from ldfusion_training.demo.report import DIAGNOSTICS, OUTPUTS, make_report, make_sheet
from ldfusion_training.recordings.bags import duration_of, topics_of
from ldfusion_training.recordings.image_topics import (
    CAMERA_WORDS,
    Streams,
    base_and_transport,
    camera_info_topic,
    find_camera,
)
from ldfusion_training.report.tables import write_json

NODE = 'fusion_node'
RESULTS = REPORT, SHEET = 'report.json', 'contact_sheet.png'
START_SECONDS = 60.0
VIEWER_SECONDS = 120.0
# When the replay has ended, the last frames are still on their way; then diagnostics come once per second.
IDLE_LOAD, IDLE_WAIT_SECONDS, DIAGNOSTICS_SECONDS = 0.1, 30.0, 2.5
# On a busy machine the recorder may lag; what the node keeps is sent again.
KEPT_MESSAGES = 20


@dataclass(frozen=True)
class DemoConfig:
    """Settings of a demo run.

    Attributes:
        recording: rosbag2 recording to replay.
        output: folder for the results.
        streams: image topics of the recording; None finds them.
        engine: of the fusion node.
        rate: speed of the replay; 1 is as recorded.
        view: port at which the Foxglove app may look on; None for none. The replay waits for somebody to look.
    """

    recording: Path
    output: Path
    streams: Streams | None = None
    engine: str = 'auto'
    rate: float = 1.0
    view: int | None = None


def run_demo(config: DemoConfig) -> dict[str, Any]:
    """Replay, record, and write ``report.json``, ``contact_sheet.png`` and the recording ``outputs``.

    Returns:
        the report.

    Raises:
        InputError: the recording has no such images, a program does not start, or no fused image arrived.
    """
    streams = config.streams or find_streams(config.recording)
    outputs, publish_log = config.output / 'outputs', config.output / 'logs' / 'published.jsonl'
    make_room(outputs, config.recording)
    for name in RESULTS:
        (config.output / name).unlink(missing_ok=True)
    load = replay_through_node(config, streams, outputs, publish_log)
    report = {'recording': str(config.recording), **make_report(publish_log, outputs, streams), 'node': load}
    if not report['frames_out']['fused']:
        print((config.output / 'logs' / f'{NODE}.log').read_text(errors='replace')[-2000:])
        raise InputError(f'{config.recording}: no fused image came of it; what {NODE} said is above')
    write_image(config.output / SHEET, make_sheet(config.recording, outputs, streams))
    write_json(config.output / REPORT, report)
    return report


def find_streams(recording: Path) -> Streams:
    """The visible and the thermal image topic of a recording, by their names.

    Raises:
        InputError: there is not exactly one of each.
    """
    topics = topics_of(recording)
    return Streams(*(find_camera(topics, camera, recording) for camera in CAMERA_WORDS))


def replay_through_node(config: DemoConfig, streams: Streams, outputs: Path, publish_log: Path) -> dict[str, float]:
    """Run node, recorder and replay as processes of their own; returns the node's load during the replay."""
    wanted = {streams.visible, streams.thermal, *camera_infos(streams).values(), '/tf', '/tf_static'}
    topics = sorted(wanted & topics_of(config.recording).keys())
    with free_domain() as domain, ExitStack() as stack:
        start = partial(_start, config, domain)
        node = stack.enter_context(start(NODE, *node_arguments(config, streams)))
        _wait_until_says(node, 'active')
        recorder = stack.enter_context(start('record', outputs, *OUTPUTS.values(), DIAGNOSTICS))
        for topic in OUTPUTS.values():
            _wait_until_says(recorder, f'recording {topic}')
        if config.view is not None:
            _wait_for_viewer(stack.enter_context(start('live_view', '--port', config.view)))
        options = ['--rate', config.rate, '--wait-for-subscribers', '--publish-log', publish_log, '--topics', *topics]
        replay = stack.enter_context(start('replay', config.recording, *options))
        before, began = node.usage(), time.monotonic()
        _show_progress(replay, duration_of(config.recording) / config.rate, (node, recorder))
        cpu_percent = 100 * (node.usage().cpu_seconds - before.cpu_seconds) / (time.monotonic() - began)
        _wait_until_idle(node)
        time.sleep(DIAGNOSTICS_SECONDS)
        return {'cpu_percent': round(cpu_percent, 1), 'peak_memory_mb': round(node.usage().peak_megabytes, 1)}


def camera_infos(streams: Streams) -> dict[str, str]:
    """The camera_info topic beside each image topic, by the usual naming."""
    return {camera: camera_info_topic(topic) for camera, topic in asdict(streams).items()}


def node_arguments(config: DemoConfig, streams: Streams) -> list[str]:
    """Remapped inputs and parameters of the fusion node."""
    arguments = ['--ros-args', '-p', f'engine:={config.engine}']
    for topic in OUTPUTS.values():
        arguments += ['-p', f'qos_overrides.{topic}.publisher.depth:={KEPT_MESSAGES}']
    infos = camera_infos(streams)
    for camera, topic in (('visible', streams.visible), ('thermal', streams.thermal)):
        base, transport = base_and_transport(topic)
        arguments += ['-p', f'{camera}_transport:={transport}']
        arguments += ['-r', f'{camera}/image_raw:={base}']
        arguments += ['-r', f'{camera}/camera_info:={infos[camera]}']
    return arguments


def _start(config: DemoConfig, domain: int, name: str, *arguments: object) -> Child:
    environment = {'ROS_DOMAIN_ID': str(domain), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    command = [str(word) for word in (find_executable(name), *arguments)]
    return Child(name, command, config.output / 'logs' / f'{name}.log', environment)


def _wait_until_says(child: Child, words: str) -> None:
    if not child.wait_for(words, START_SECONDS):
        raise InputError(f'{child.name} did not start: {child.last_lines(1)}')


def _wait_for_viewer(view: Child) -> None:
    _wait_until_says(view, 'live_view: open ')
    print(f'{view.last_lines(1)}; the replay begins when somebody looks, or after {VIEWER_SECONDS:.0f} s')
    view.wait_for('live_view: a viewer is there', VIEWER_SECONDS)


def _show_progress(replay: Child, seconds: float, others: Sequence[Child]) -> None:
    start, total = time.monotonic(), round(seconds, 1)
    with tqdm(total=total, unit='s', desc='replay', disable=None) as bar:
        while replay.is_running:
            for child in others:
                if not child.is_running:
                    raise InputError(f'{child.name} ended during the replay; see {child.log}')
            replay.wait(0.2)
            bar.update(min(round(time.monotonic() - start, 1), total) - bar.n)
    if replay.wait(0) != 0:
        raise InputError(f'replay failed: {replay.last_lines(1)}')


def _wait_until_idle(node: Child) -> None:
    end = time.monotonic() + IDLE_WAIT_SECONDS
    used, last = node.usage().cpu_seconds, -1.0
    while used - last > IDLE_LOAD and time.monotonic() < end:
        time.sleep(1.0)
        used, last = node.usage().cpu_seconds, used
