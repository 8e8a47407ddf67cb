"""The demo: every pair comes out as a fused frame, the report counts right, and nothing is left running."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_training.cli import main
from ldfusion_training.demo.recordings import make_room, simulated_recording
from ldfusion_training.demo.report import (
    DEPTH,
    DIAGNOSTICS,
    FUSED,
    OUTPUTS,
    Streams,
    latencies_ms,
    make_report,
    make_sheet,
)
from ldfusion_training.demo.run import camera_infos, find_streams
from ldfusion_training.recordings.bags import TYPES, BagWriter
from ldfusion_training.simulation.config import SimulationConfig

SECOND = 1_000_000_000
MS = 1_000_000
STREAMS = Streams('/visible/image_raw', '/thermal/image_raw')
WIDTH, HEIGHT, PAIRS, RATE_HZ = 64, 48, 8, 4


def image(number: int, channels: int) -> np.ndarray:
    """A picture with a bright square that moves with its number."""
    picture = np.full((HEIGHT, WIDTH, channels), 60, np.uint8)
    picture[10:30, 5 * number : 5 * number + 15] = 200
    return picture[..., 0] if channels == 1 else picture


def record_pairs(path: Path) -> None:
    """A recording of a small aligned rig."""
    camera = Intrinsics.from_field_of_view(WIDTH, HEIGHT, 60)
    with BagWriter(path) as bag:
        for number in range(PAIRS):
            stamp_ns = SECOND + number * SECOND // RATE_HZ
            for name, channels in (('visible', 3), ('thermal', 1)):
                bag.write_camera_info(f'/{name}/camera_info', stamp_ns, name, camera)
                bag.write_image(f'/{name}/image_raw', stamp_ns, name, image(number, channels))


def left_behind(output: Path) -> list[str]:
    """Programs still running that have a file open below this folder, such as their log."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            if any(str(link.resolve()).startswith(str(output)) for link in (folder / 'fd').iterdir()):
                found.append((folder / 'cmdline').read_text().replace('\0', ' '))
        except OSError:
            continue
    return found


class TestNumbers:
    def test_latency_counts_from_the_later_image(self) -> None:
        visible = {100: 1_000 * MS, 200: 2_000 * MS}
        thermal = {101: 1_010 * MS, 199: 1_990 * MS}
        fused = {100: 1_050 * MS, 200: 2_070 * MS}
        np.testing.assert_allclose(latencies_ms(visible, thermal, fused), [40, 70])

    def test_latency_leaves_out_what_was_not_published(self) -> None:
        assert latencies_ms({1: 5}, {}, {1: 9}).size == 0
        assert latencies_ms({1: 5}, {1: 5}, {2: 9}).size == 0

    def test_report_counts_frames_drops_and_losses(self, tmp_path: Path) -> None:
        """Four pairs sent, three visible and four thermal images received, two fused."""
        log = tmp_path / 'published.jsonl'
        entries = [
            {'topic': topic, 'stamp_ns': number, 'published_ns': number * SECOND}
            for number in range(4)
            for topic in (STREAMS.visible, STREAMS.thermal, '/tf_static')
        ]
        log.write_text(''.join(json.dumps(entry) + '\n' for entry in entries))
        with BagWriter(tmp_path / 'outputs') as bag:
            for number, delay_ms in ((1, 30), (3, 50)):
                bag.write_image(FUSED, number, 'visible', image(0, 3), log_ns=number * SECOND + delay_ms * MS)
            for counts in ({'count visible in': 1}, {'count visible in': 3, 'count thermal in': 4, 'count pairs': 3,
                           'dropped overload': 1, 'dropped refused': 0, 'engine': 'torch'}):  # fmt: skip
                bag.write(DIAGNOSTICS, diagnostics('/fusion_node: fusion', counts), 9)
            bag.write(DIAGNOSTICS, diagnostics('/other_node: battery', {'count pairs': 77}), 9)
        report = make_report(log, tmp_path / 'outputs', STREAMS)
        assert report['frames_in'] == {'visible': 4, 'thermal': 4}
        assert report['pairs'] == 3
        assert report['frames_out'] == {'fused': 2, 'depth': 0, 'points': 0}
        assert report['drops'] == {'overload': 1, 'visible_lost_on_the_way': 1}
        assert report['latency_ms'] == {'p50': 40.0, 'p95': 49.0}
        assert report['engine'] == 'torch'


def diagnostics(name: str, values: dict[str, Any]) -> object:
    """A DiagnosticArray with one status."""
    types = TYPES.types
    pairs = [types['diagnostic_msgs/msg/KeyValue'](key=key, value=str(value)) for key, value in values.items()]
    status = types['diagnostic_msgs/msg/DiagnosticStatus'](level=0, name=name, message='', hardware_id='', values=pairs)
    time_ = types['builtin_interfaces/msg/Time'](sec=0, nanosec=0)
    header = types['std_msgs/msg/Header'](stamp=time_, frame_id='')
    return types['diagnostic_msgs/msg/DiagnosticArray'](header=header, status=[status])


def test_sheet_needs_a_complete_frame(tmp_path: Path) -> None:
    record_pairs(tmp_path / 'inputs')
    with BagWriter(tmp_path / 'outputs') as bag:
        bag.write_image(FUSED, SECOND, 'visible', image(0, 3))
        bag.write_image(DEPTH, 2 * SECOND, 'visible', np.ones((HEIGHT, WIDTH), np.float32))
    with pytest.raises(InputError, match='no frame'):
        make_sheet(tmp_path / 'inputs', tmp_path / 'outputs', STREAMS)


class TestStreams:
    def record(self, path: Path, *topics: str) -> Path:
        with BagWriter(path) as bag:
            for topic in topics:
                bag.write_image(topic, 1, 'camera', image(0, 1))
        return path

    def test_found_by_name(self, tmp_path: Path) -> None:
        bag = self.record(tmp_path / 'bag', '/camera/color/image_raw', '/boson/thermal/image', '/map/grid')
        assert find_streams(bag) == Streams('/camera/color/image_raw', '/boson/thermal/image')

    def test_counts_sent_as_compressed_depth_are_no_depth(self, tmp_path: Path) -> None:
        topics = '/camera/color/image_raw', '/camera/depth/image_raw', '/camera/depth/image_raw/compressedDepth'
        bag = self.record(tmp_path / 'bag', *topics, '/boson/thermal/image/compressedDepth')
        assert find_streams(bag) == Streams('/camera/color/image_raw', '/boson/thermal/image/compressedDepth')

    @pytest.mark.parametrize('topics', [('/a', '/b'), ('/rgb/left', '/rgb/right', '/thermal'), ('/rgb',)])
    def test_doubt_names_the_topics_and_the_option(self, tmp_path: Path, topics: tuple[str, ...]) -> None:
        bag = self.record(tmp_path / 'bag', *topics)
        with pytest.raises(InputError, match=f'{topics[0]}.*--(visible|thermal)-topic'):
            find_streams(bag)

    def test_camera_info_is_beside_the_image(self) -> None:
        infos = camera_infos(Streams('/rig/rgb/image_raw/compressed', '/rig/lwir/image_raw/compressedDepth'))
        assert infos == {'visible': '/rig/rgb/camera_info', 'thermal': '/rig/lwir/camera_info'}


def test_simulated_recording_is_made_once(tmp_path: Path) -> None:
    pytest.importorskip('embreex', reason='needs the simulation extra')
    config = SimulationConfig(seed=1, scenes=1, frames=2, width=64, height=48)
    path = simulated_recording(tmp_path / 'bag', config)
    before = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    assert find_streams(path) == STREAMS
    assert simulated_recording(tmp_path / 'bag', config) == path
    assert {file: file.stat().st_mtime_ns for file in path.iterdir()} == before


def test_a_demo_deletes_only_what_a_demo_left(tmp_path: Path) -> None:
    mine = tmp_path / 'outputs' / 'thesis.txt'
    mine.parent.mkdir()
    mine.write_text('years of work')
    record_pairs(tmp_path / 'bag')
    record_pairs(tmp_path / 'left')
    for folder, bag in (
        (mine.parent, None),
        (tmp_path / 'bag', tmp_path / 'bag'),
        (tmp_path / 'bag', tmp_path / 'bag/x'),
    ):
        with pytest.raises(InputError, match=f'{folder}: .* choose another --output'):
            make_room(folder, bag)
    assert mine.is_file()
    assert (tmp_path / 'bag').is_dir()
    (tmp_path / 'left' / 'thesis.txt').write_text('years of work')
    with pytest.raises(InputError, match='not what a demo left'):
        make_room(tmp_path / 'left')
    (tmp_path / 'left' / 'thesis.txt').unlink()
    make_room(tmp_path / 'left', tmp_path / 'bag')
    assert not (tmp_path / 'left').exists()


class TestDemo:
    """Processes of their own over real ROS 2."""

    @pytest.fixture(autouse=True)
    def needs_ros(self) -> None:
        pytest.importorskip('rclpy', reason='needs ROS 2')

    def test_every_pair_comes_out(self, tmp_path: Path) -> None:
        record_pairs(tmp_path / 'bag')
        out = tmp_path / 'out'
        assert main(['demo', '--bag', str(tmp_path / 'bag'), '--output', str(out)]) == 0
        report = json.loads((out / 'report.json').read_text())
        assert report['frames_in'] == {'visible': PAIRS, 'thermal': PAIRS}
        assert report['pairs'] == PAIRS
        dropped = sum(report['drops'].values())
        assert set(report['drops']) <= {'overload'}, 'on a busy machine the newest pair wins; nothing else is lost'
        assert report['frames_out'] == dict.fromkeys(('fused', 'depth', 'points'), PAIRS - dropped)
        assert 0 < report['latency_ms']['p50'] <= report['latency_ms']['p95']
        assert report['node']['cpu_percent'] > 0
        assert report['node']['peak_memory_mb'] > 50
        sheet = cv2.imread(str(out / 'contact_sheet.png'))
        assert sheet.shape[1] > 5 * 256
        assert sheet.std() > 20
        assert left_behind(out) == []

    def test_a_viewer_sees_what_the_node_makes(self, tmp_path: Path) -> None:
        """The replay waits for somebody to look; what they look at comes fused over the websocket."""
        pytest.importorskip('foxglove', reason='needs foxglove-sdk: pip install .[view]')
        pytest.importorskip('websockets')
        from viewer import address_in, look

        record_pairs(tmp_path / 'bag')
        out = tmp_path / 'out'
        words = ['demo', '--bag', str(tmp_path / 'bag'), '--output', str(out), '--view', '0']
        with ThreadPoolExecutor() as pool:
            demo = pool.submit(main, words)
            log = out / 'logs' / 'live_view.log'
            while not (log.is_file() and 'ws://' in log.read_text()):
                assert not demo.done(), demo.result()
                time.sleep(0.1)
            client, got = look(address_in(log.read_text()), dict.fromkeys(OUTPUTS.values(), 2))
            assert demo.result() == 0
        for topic, messages in got.items():
            kind = client.channels[topic]['schemaName']
            message = TYPES.deserialize_cdr(messages[0], kind)
            assert (message.width, message.height) == (WIDTH, HEIGHT)

    def test_nothing_fused_is_an_error_that_shows_the_node(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        camera = Intrinsics.from_field_of_view(8, 8, 60)
        with BagWriter(tmp_path / 'bag') as bag:
            for number in range(3):
                for name, shape in (('visible', (8, 8, 3)), ('thermal', (8, 8))):
                    bag.write_camera_info(f'/{name}/camera_info', number * SECOND // 2, name, camera)
                    bag.write_image(f'/{name}/image_raw', number * SECOND // 2, name, np.zeros(shape, np.uint8))
        out = tmp_path / 'out'
        assert main(['demo', '--bag', str(tmp_path / 'bag'), '--output', str(out)]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith('ldfusion: ')
        assert captured.err.count('\n') == 1
        assert '8x8' in captured.out
        assert not (out / 'report.json').exists()
        assert left_behind(out) == []

    def test_ctrl_c_stops_everything(self, tmp_path: Path) -> None:
        record_pairs(tmp_path / 'bag')
        out = tmp_path / 'out'
        words = ['demo', '--bag', tmp_path / 'bag', '--output', out, '--rate', '0.05']
        demo = subprocess.Popen(
            [sys.executable, '-c', 'import sys; from ldfusion_training.cli import main; sys.exit(main())', *words],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        end = time.monotonic() + 90
        while len(left_behind(out)) < 3:
            assert demo.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
        demo.send_signal(signal.SIGINT)
        _, error = demo.communicate(timeout=60)
        assert (demo.returncode, error) == (130, '')
        assert left_behind(out) == []

    def test_missing_recording_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(['demo', '--bag', str(tmp_path / 'nowhere'), '--output', str(tmp_path / 'out')]) == 2
        assert 'nowhere: no such recording' in capsys.readouterr().err
