"""What raw drivers send, through the live node and through the evaluation of a recording."""

import array
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live import CAMERA, HEIGHT, WIDTH, Array, Robot, header, scene, stamp_of
from raw_formats import DEEP, STORED

pytest.importorskip('sensor_msgs', reason='needs ROS 2: pip install .[ros]')
from rcl_interfaces.msg import Log
from sensor_msgs.msg import Image

from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, image_from_message
from ldfusion_training.bag_evaluation.run import OUTPUT_BAG
from ldfusion_training.cli import main
from ldfusion_training.recordings.bags import IMAGE, TYPES, BagWriter, read_bag
from ldfusion_training.recordings.image_topics import OWN_OUTPUTS

START_NS, PERIOD_NS, PAIRS = 1_700_000_000 * 10**9, 100_000_000, 3
Raw = tuple[str, int, int, int, bytes]


def picture() -> Array:
    """(H, W, 3) RGB without fine detail, so that formats with shared colours lose little."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    planes = [128 + 100 * np.sin(rows / 20), 128 + 90 * np.cos(columns / 25), 100 + 60 * np.sin((rows + columns) / 30)]
    return np.dstack(planes).astype(np.uint8)


def kelvin(height: int = HEIGHT, width: int = WIDTH) -> Array:
    """A wall of 290 to 298 K with a person."""
    image = np.tile(np.linspace(290, 298, width, dtype=np.float32), (height, 1))
    image[height // 4 : -height // 4, width // 3 : width // 2] = 307
    return image


def raw(image: Array, encoding: str) -> Raw:
    return encoding, image.shape[0], image.shape[1], image[0].nbytes, np.ascontiguousarray(image).tobytes()


def colours(encoding: str) -> Raw:
    bytes_per_pixel, store = (STORED | DEEP)[encoding]
    image = picture().astype('<u2') * 257 if encoding in DEEP else picture()
    return encoding, HEIGHT, WIDTH, WIDTH * bytes_per_pixel, store(image)


def with_dead_pixels(image: Array) -> Array:
    image = image.copy()
    image[::9, ::7] = np.nan
    return image


def counts() -> Array:
    return (kelvin() * 100).astype('<u2')


GREY = np.clip((kelvin() - 290) * 15, 0, 255).astype(np.uint8)
VISIBLE: dict[str, Callable[[], Raw]] = {name: (lambda name=name: colours(name)) for name in STORED | DEEP}
THERMAL: dict[str, Callable[[], Raw]] = {
    'kelvin': lambda: raw(kelvin(), '32FC1'),
    'celsius': lambda: raw(kelvin() - np.float32(273.15), '32FC1'),
    'celsius with dead pixels': lambda: raw(with_dead_pixels(kelvin() - np.float32(273.15)), '32FC1'),
    'signed counts': lambda: raw((counts().astype(np.int32) - 30000).astype('<i2'), '16SC1'),
}
# Floats in steps of 25 mK, and OpenCV's weights of YUV, move a grey level or two.
NEAR = 3.0


@pytest.fixture(scope='module')
def robot() -> Iterator[Robot]:
    with Robot({'thermal_smoothing': 0.0, 'engine': 'onnxruntime'}, name='reading') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        yield robot


def message(stored: Raw) -> Image:
    encoding, height, width, step, data = stored
    return Image(encoding=encoding, height=height, width=width, step=step, data=array.array('B', data))


def fused_live(robot: Robot, visible: Raw, thermal: Raw) -> Array:
    stamp_ns = robot.send_pair(message(visible), message(thermal))
    robot.wait(lambda: robot.images and stamp_of(robot.images[-1]) == stamp_ns, f'{visible[0]} and {thermal[0]}')
    return image_from_message(robot.images[-1]).astype(int)


def fused_offline(folder: Path, visible: Raw, thermal: Raw, *options: str) -> Array:
    """The last fused image of a recording of equal pairs, by the command."""
    with BagWriter(folder / 'bag') as bag:
        for number in range(PAIRS):
            stamp_ns = START_NS + number * PERIOD_NS
            for camera, stored in (('visible', visible), ('thermal', thermal)):
                bag.write(f'/{camera}/image_raw', recorded(stored, stamp_ns), stamp_ns)
    parameters = folder / 'node.yaml'
    parameters.write_text('fusion_node: {ros__parameters: {thermal_smoothing: 0.0, engine: onnxruntime}}')
    command = ['evaluate', 'bag', str(folder / 'bag'), '--output', str(folder / 'out'), '--metrics-every', '0']
    assert main([*command, '--output-bag', '--parameters', str(parameters), *options]) == 0
    outputs = folder / 'out/recordings/bag' / OUTPUT_BAG
    *_, last = read_bag(outputs, [f'{OWN_OUTPUTS}fused/image'])
    return last.image().astype(int)


def recorded(stored: Raw, stamp_ns: int) -> Any:
    encoding, height, width, step, data = stored
    time = TYPES.types['builtin_interfaces/msg/Time'](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES.types[IMAGE](
        header=TYPES.types['std_msgs/msg/Header'](stamp=time, frame_id='camera'),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=step,
        data=np.frombuffer(data, np.uint8),
    )


@pytest.mark.parametrize('encoding', VISIBLE)
def test_visible_encodings_are_fused_as_rgb8_is(robot: Robot, encoding: str) -> None:
    thermal = raw(GREY, 'mono8')
    expected = fused_live(robot, raw(picture(), 'rgb8'), thermal)
    assert np.abs(fused_live(robot, VISIBLE[encoding](), thermal) - expected).mean() < NEAR


@pytest.mark.parametrize('kind', THERMAL)
def test_temperatures_and_signed_counts_are_fused_as_counts_are(robot: Robot, kind: str) -> None:
    visible = raw(picture(), 'rgb8')
    expected = fused_live(robot, visible, raw(counts(), '16UC1'))
    assert np.abs(fused_live(robot, visible, THERMAL[kind]()) - expected).mean() < NEAR
    if kind != 'signed counts':
        stamp_ns = stamp_of(robot.images[-1])
        robot.wait(lambda: robot.clouds and stamp_of(robot.clouds[-1]) == stamp_ns, 'cloud of this frame')
        cloud = np.frombuffer(robot.clouds[-1].data, '<f4').reshape(HEIGHT, WIDTH, 5)
        assert np.abs(cloud[..., 4] - kelvin()).max() < 1.0, 'kelvin without thermal_scale'


@pytest.mark.parametrize('size', [(24, 32), (12, 16), (8, 8)], ids=['32x24', '16x12', '8x8'])
def test_thermal_arrays_of_a_few_pixels_are_fused(robot: Robot, size: tuple[int, int]) -> None:
    fused = fused_live(robot, raw(picture(), 'rgb8'), raw(kelvin(*size), '32FC1'))
    assert fused.shape == (HEIGHT, WIDTH, 3)


def test_telemetry_is_named_once_and_cut_by_a_parameter(robot: Robot) -> None:
    visible = raw(picture(), 'rgb8')
    expected = fused_live(robot, visible, raw(counts(), '16UC1'))
    rows = np.random.default_rng(0).integers(0, 65536, (2, WIDTH)).astype('<u2')
    sent = raw(np.vstack([counts(), rows]), '16UC1')
    said: list[str] = []
    listener = robot.other.create_subscription(Log, '/rosout', lambda log: said.append(log.msg), 50)
    robot.wait(lambda: robot.hears(listener), 'log')
    for _ in range(3):
        fused_live(robot, visible, sent)
    words = 'set thermal_cut_bottom to 2'
    robot.wait(lambda: any(words in text for text in said), 'words')
    with robot.settings(thermal_cut_bottom=2):
        assert np.array_equal(fused_live(robot, visible, sent), expected)
    assert sum(words in text for text in said) == 1


def test_camera_info_of_thermal_images_with_rows_cut_is_that_of_the_picture(robot: Robot) -> None:
    """The thermal camera alone, so that the outputs are in its pixels; three rows of telemetry above the picture."""
    info = camera_info_from_intrinsics(replace(CAMERA, height=HEIGHT + 3, cy=CAMERA.cy + 3), header(0, ''))
    robot.send_info(info, 'thermal')
    sent = message(raw(np.vstack([np.zeros((3, WIDTH), '<u2'), counts()]), '16UC1'))
    with robot.settings(degraded_after=0.1, thermal_cut_top=3):

        def alone() -> bool:
            robot.stamp_ns += 50_000_000
            robot.send('thermal', sent, robot.stamp_ns)
            time.sleep(0.05)
            return bool(robot.infos) and robot.infos[-1].header.frame_id == 'thermal_optical'

        robot.wait(alone, 'the thermal camera alone')
    told = robot.infos[-1]
    assert (told.height, told.k[5], told.p[6]) == (HEIGHT, CAMERA.cy, CAMERA.cy)
    robot.wait(lambda: robot.fuse_good_pair() and robot.told()['mode'] == 'normal', 'normal mode')


def test_false_colours_are_fused_as_the_grey_they_were_made_from(robot: Robot) -> None:
    visible = raw(picture(), 'rgb8')
    expected = fused_live(robot, visible, raw(GREY, 'mono8'))
    painted = cv2.applyColorMap(GREY, cv2.COLORMAP_JET)
    assert np.abs(fused_live(robot, visible, raw(painted, 'bgr8')) - expected).mean() < NEAR


def test_a_cloud_of_a_large_image_arrives_thinned_and_this_is_said() -> None:
    """3840x2160 beside 80x60: 166 MB in full, which no subscriber got."""
    large = cv2.resize(picture(), (3840, 2160))
    with Robot({'inference_size': 320, 'enlargement': 'nearest', 'engine': 'onnxruntime'}, name='large') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        said: list[str] = []
        listener = robot.other.create_subscription(Log, '/rosout', lambda log: said.append(log.msg), 50)
        robot.wait(lambda: robot.hears(listener), 'log')
        robot.send_info()
        robot.wait(lambda: 'visible' in robot.node.calibrations.known, 'camera_info')
        robot.send_pair(message(raw(large, 'rgb8')), message(raw(kelvin(60, 80), '32FC1')))
        robot.wait(lambda: robot.clouds, 'cloud')
        assert (robot.clouds[0].width, robot.clouds[0].height) == (1280, 720)
        robot.wait(lambda: any('stride of 3' in text for text in said), 'words')


def test_counts_that_a_driver_calls_colours_are_taken_as_counts(robot: Robot) -> None:
    """Cameras that send a picture above and counts below it, all named YUY2."""
    visible = raw(picture(), 'rgb8')
    expected = fused_live(robot, visible, raw(counts(), '16UC1'))
    above = np.full((HEIGHT, WIDTH), 0x8010, '<u2')
    with robot.settings(thermal_encoding='16UC1', thermal_cut_top=HEIGHT):
        fused = fused_live(robot, visible, raw(np.vstack([above, counts()]), 'yuv422_yuy2'))
    assert np.array_equal(fused, expected)


@pytest.mark.parametrize('wrong', ['32FC1', '16SC1'])
def test_a_visible_camera_that_sends_no_colours_is_counted(robot: Robot, wrong: str) -> None:
    before = robot.dropped('refused')
    robot.send_pair(message(raw(np.zeros((HEIGHT, WIDTH), '<f4' if wrong == '32FC1' else '<i2'), wrong)), scene()[1])
    robot.wait(lambda: robot.dropped('refused') == before + 1, 'drop in diagnostics')
    robot.fuse_good_pair()


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'yuv422_yuy2', 'nv12', 'bayer_grbg16'])
@pytest.mark.parametrize('kind', ['celsius with dead pixels', 'signed counts'])
def test_a_recording_gives_what_the_live_node_gives(robot: Robot, tmp_path: Path, encoding: str, kind: str) -> None:
    visible, thermal = VISIBLE[encoding](), THERMAL[kind]()
    assert np.array_equal(fused_offline(tmp_path, visible, thermal), fused_live(robot, visible, thermal))
