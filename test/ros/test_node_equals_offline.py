"""The node over DDS and the offline evaluation of one recording: equal to the byte, frame by frame."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')

from live import CAMERA, Array, Robot, depth_of, scene, stamp_of
from sensor_msgs.msg import CameraInfo

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Registration
from ldfusion_models.camera.registration_file import write_registration
from ldfusion_models.engines import create_engine
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_ros.messages.conversions import image_from_message
from ldfusion_training.bag_evaluation.run import OUTPUT_BAG, evaluate_recording
from ldfusion_training.bag_evaluation.settings import BagSettings
from ldfusion_training.recordings.bags import BagWriter, open_recording
from ldfusion_training.recordings.image_topics import OWN_OUTPUTS

START_NS, PERIOD_NS, SHOTS = 1_700_000_000 * 10**9, 500_000_000, 14
# The visible camera is lost for so long that the thermal one goes on alone, and its images move the gain.
LOST = range(4, 10)
DEGRADED_AFTER = 1.25
THERMAL = Lens(Intrinsics(80, 64, 110.0, 110.0, 39.5, 31.5), 'plumb_bob', (-0.2, 0.05, 0.001, 0.0, 0.0))
VISIBLE = Lens(CAMERA, 'plumb_bob', (-0.1, 0.02, 0.0, 0.001, 0.0))
BESIDE = ((1.0, 0.0, 0.0, -0.1), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
TOPICS = {'visible': '/visible/image_raw', 'thermal': '/thermal/image_raw'}


def counts(number: int) -> Array:
    """Another scene and another temperature at each moment, so that the gain never rests."""
    generator = np.random.default_rng(number)
    small = generator.integers(0, 4000, (64, 80)).astype(np.uint16)
    small[10:30, 20 + number : 40 + number] += 9000
    return small + np.uint16(20_000 + 400 * number)


def record(path: Path, lens_is_known: bool) -> None:
    """Thermal counts beside a visible camera that is lost for a while, and whose lens may be of a strange model."""
    calibration = Calibration.of_lens(VISIBLE)
    if not lens_is_known:
        calibration = Calibration(CAMERA, None, 'unknown', 'omnidirectional', (0.1, 0.2, 0.3))
    with BagWriter(path) as bag:
        for number in range(SHOTS):
            stamp_ns = START_NS + number * PERIOD_NS
            if number == 0:
                bag.write_camera_info('/visible/camera_info', stamp_ns - 2, 'visible', calibration)
                bag.write_camera_info('/thermal/camera_info', stamp_ns - 1, 'thermal', Calibration.of_lens(THERMAL))
            bag.write_image(TOPICS['thermal'], stamp_ns, 'thermal', counts(number), encoding='16UC1')
            if number not in LOST:
                # Of the same stamp, so that the pair is certain at once; so much later that a busy machine receives it
                # later, too: which of the two comes first decides whether the first thermal image goes alone.
                bag.write_image(TOPICS['visible'], stamp_ns, 'visible', scene(number)[0], log_ns=stamp_ns + 60_000_000)


def info_of(message: Any) -> CameraInfo:
    """A recorded CameraInfo as a message of the middleware."""
    info = CameraInfo(height=message.height, width=message.width, distortion_model=message.distortion_model)
    info.d, info.k, info.r, info.p = (
        list(map(float, values)) for values in (message.d, message.k, message.r, message.p)
    )
    return info


def play_to_node(bag: Path, parameters: dict[str, Any]) -> tuple[dict[int, Array], dict[int, Array], list[CameraInfo]]:
    """Fused images and depth by stamp, and camera_info, as they come over DDS at the pace of the recording."""
    last_ns = START_NS + (SHOTS - 1) * PERIOD_NS
    with Robot(parameters) as robot, open_recording(bag) as recording:
        robot.wait(robot.is_ready, 'node ready', 120)
        start, first_ns = time.monotonic(), START_NS - 2
        for each in recording.read(recording.topics):
            time.sleep(max(0.0, start + (each.log_ns - first_ns) / 1e9 - time.monotonic()))
            camera = 'visible' if 'visible' in each.topic else 'thermal'
            if each.topic.endswith('camera_info'):
                robot.send_info(info_of(each.message), camera)
            else:
                robot.send(camera, each.image(), each.stamp_ns)
        for messages in (robot.images, robot.depths, robot.infos):
            robot.wait(lambda messages=messages: messages and stamp_of(messages[-1]) >= last_ns, 'the last frame')
        fused = {stamp_of(message): image_from_message(message) for message in robot.images}
        return fused, {stamp_of(message): depth_of(message) for message in robot.depths}, robot.infos


@pytest.mark.parametrize('lens_is_known', [True, False], ids=['registered', 'a strange lens: as aligned'])
def test_the_node_and_the_evaluation_of_its_recording_give_the_same_bytes(tmp_path: Path, lens_is_known: bool) -> None:
    bag, file = tmp_path / 'drive', tmp_path / 'registration.yaml'
    record(bag, lens_is_known)
    write_registration(file, Registration('cameras', undistort=True, thermal_T_visible=BESIDE, distance=2.0))
    shared = {'registration_file': str(file), 'degraded_after': DEGRADED_AFTER, 'thermal_smoothing': 0.8, 'threads': 2}
    fused, depth, infos = play_to_node(bag, {**shared, 'engine': 'onnxruntime', 'drift_period': 0.0})
    settings = BagSettings(NodeSettings(engine='onnxruntime', **shared), metrics_every=0, output_bag=True)
    evaluate_recording(bag, tmp_path / 'out', create_engine('onnxruntime', threads=2), settings)
    offline: dict[str, dict[int, Any]] = {}
    with open_recording(tmp_path / 'out' / OUTPUT_BAG) as recording:
        for each in recording.read(recording.topics):
            kind = 'calibration' if each.topic.endswith('info') else 'image' if 'fused' in each.topic else 'depth'
            offline.setdefault(each.topic, {})[each.stamp_ns] = getattr(each, kind)()
    ours, theirs = offline[f'{OWN_OUTPUTS}fused/image'], offline[f'{OWN_OUTPUTS}depth/image']
    pairs = sorted(ours)
    # The first thermal image after the pause still went alone.
    assert len(pairs) == SHOTS - len(LOST) - 1
    assert set(fused) - set(ours), 'the node has fused the thermal camera alone'
    for stamp_ns in pairs:
        assert np.array_equal(fused[stamp_ns], ours[stamp_ns]), stamp_ns
        assert np.array_equal(depth[stamp_ns], theirs[stamp_ns], equal_nan=True), stamp_ns
    # What camera_info says of the image beside it is the same, and true: a strange lens is still in the image.
    live = next(Calibration.from_message(info) for info in infos if stamp_of(info) == pairs[-1])
    recorded = offline[f'{OWN_OUTPUTS}fused/camera_info'][pairs[-1]]
    assert (recorded.model, recorded.coefficients) == (live.model, live.coefficients)
    assert live.model == ('plumb_bob' if lens_is_known else 'omnidirectional')
    assert recorded.camera.fx == pytest.approx(live.camera.fx)
    assert any(live.coefficients) != lens_is_known
