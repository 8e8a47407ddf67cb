"""Profiles of cameras: the stream that each describes, simulated, goes through the live node's decoding."""

import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from live import Array, Robot, stamp_of
from paths import ROOT
from raw_formats import STORED

pytest.importorskip('sensor_msgs', reason='needs ROS 2: pip install .[ros]')
from sensor_msgs.msg import Image

from ldfusion_models.errors import InputError
from ldfusion_ros.camera_profiles import CameraProfile, known_profiles, read_profiles, with_topics
from ldfusion_ros.messages.conversions import image_from_message

FOLDER = ROOT / 'config' / 'cameras'
NAMES = known_profiles(FOLDER)
PROFILES = {name: read_profiles(name, FOLDER)[0] for name in NAMES}
THERMAL = [name for name, profile in PROFILES.items() if profile.camera == 'thermal']
# What a person of 307 K before a wall of 295 K is, in counts, of cameras whose counts are no temperatures.
RAW_LOW, RAW_HIGH = 7200, 7900


def kelvin(height: int, width: int, shift: int = 0) -> Array:
    scene = np.full((height, width), 295.0)
    scene += np.linspace(0, 3, width)
    scene[height // 4 : -height // 4, width // 3 + shift : width // 2 + shift] = 307.0
    return scene


def part_of_picture(profile: CameraProfile) -> tuple[slice, int]:
    """Rows of the message that are the picture, and how many."""
    top, bottom = (int(profile.parameters.get(f'thermal_cut_{edge}', 0)) for edge in ('top', 'bottom'))
    height = profile.size[1] - top - bottom
    return slice(top, top + height), height


def thermal_message(profile: CameraProfile, scene: Array, seed: int = 0) -> Image:
    """A frame as the camera makes it: counts or degrees, telemetry or another image around, a dead row and pixels."""
    generator = np.random.default_rng(seed)
    width, height = profile.size
    rows, _ = part_of_picture(profile)
    scale = profile.parameters.get('thermal_scale', 0.0)
    if profile.encoding == '32FC1':
        values = (scene - 273.15).astype('<f4')
        values[3, 4] = np.nan
        step, data = 4 * width, values.tobytes()
    else:
        frame = generator.integers(0, 65536, (height, width)).astype('<u2')
        offset = profile.parameters.get('thermal_offset', 0.0)
        counts = (scene - offset) / scale if scale else RAW_LOW + (scene - 295) / 12 * (RAW_HIGH - RAW_LOW)
        frame[rows] = counts.round() + generator.integers(-1, 2, scene.shape)
        frame[rows][5, :] = 0
        frame[rows][7:40:9, 11] = 0
        step, data = 2 * width, frame.tobytes()
    message = Image(encoding=profile.encoding, height=height, width=width, step=step)
    message.data = array.array('B', data)
    return message


def visible_message(profile: CameraProfile) -> tuple[Image, Array]:
    """A smooth picture as the camera stores it, and as RGB."""
    width, height = profile.size
    rows, columns = np.mgrid[:height, :width]
    rgb = np.dstack([128 + 90 * np.sin(rows / 40), 120 + 80 * np.cos(columns / 50), 100 + rows * 0 + columns % 90])
    rgb = rgb.astype(np.uint8)
    stores = {
        'rgb8': (3, lambda image: image.tobytes()),
        'bgra8': (4, lambda image: np.dstack([image[..., ::-1], image[..., :1]]).tobytes()),
    } | STORED
    size, store = stores[profile.encoding]
    message = Image(encoding=profile.encoding, height=height, width=width, step=size * width)
    message.data = array.array('B', store(rgb))
    return message, rgb


@pytest.mark.parametrize('name', THERMAL)
def test_a_thermal_camera_is_read_as_its_profile_says(name: str) -> None:
    """Beside a visible camera that is three times as fast; the shutter repeats an image, a spike comes after it."""
    profile = PROFILES[name]
    _, height = part_of_picture(profile)
    width = profile.size[0]
    parameters: dict[str, Any] = {'engine': 'onnxruntime', 'thermal_smoothing': 0.0, **profile.parameters}
    with Robot(parameters, name='robot') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        robot.wait(lambda: 'visible' in robot.node.calibrations.known, 'camera_info')
        for seed in range(3):
            stamp_ns = robot.send_pair(thermal=thermal_message(profile, kelvin(height, width), seed))
            for later in (30_000_000, 60_000_000):
                robot.send('visible', np.zeros((128, 160, 3), np.uint8), stamp_ns + later)
            robot.wait(lambda s=stamp_ns: robot.images and stamp_of(robot.images[-1]) == s, 'fused image')
        robot.wait(lambda: robot.clouds and stamp_of(robot.clouds[-1]) == stamp_ns, 'cloud')
        cloud = np.frombuffer(robot.clouds[-1].data, '<f4').reshape(128, 160, 5)
        measured = float(np.median(cloud[60:70, 58:75, 4]))
        is_temperature = 'thermal_scale' in profile.parameters or profile.encoding == '32FC1'
        assert measured == pytest.approx(307.0 if is_temperature else RAW_HIGH, abs=0.3 if is_temperature else 5)
        assert robot.node._configured is not None
        grey = robot.node._configured.fusing._last[1].frame.view.thermal
        person = grey[height // 2, int(0.42 * width)]
        assert person > 200 > 120 > grey[height // 2, width // 8], 'dead pixels or telemetry moved the gain'
        # The shutter holds an image under new stamps, then one frame is far too hot.
        held = thermal_message(profile, kelvin(height, width), 9)
        spike = thermal_message(profile, kelvin(height, width) + 60)
        for message in (held, held, held, spike, held):
            stamp_ns = robot.send_pair(thermal=message)
            robot.wait(lambda s=stamp_ns: stamp_of(robot.images[-1]) == s, 'fused image of a held image')
        assert robot.dropped('failure') + robot.dropped('thermal_bad') + robot.dropped('refused') == 0
        telemetry = robot.node._configured.fusing.rig.thermal_notes.get('telemetry')
        assert telemetry is None, 'the profile cuts all of it'


@pytest.mark.parametrize('name', [name for name in NAMES if name not in THERMAL])
def test_a_visible_camera_is_read_in_its_colours(name: str) -> None:
    message, rgb = visible_message(PROFILES[name])
    assert np.abs(image_from_message(message).astype(int) - rgb).mean() < 3


def test_topics_come_from_arguments_then_profiles_then_the_nodes() -> None:
    given = dict.fromkeys(('visible_topic', 'thermal_topic', 'visible_info_topic', 'thermal_info_topic'), '')
    profiles = read_profiles('optris, realsense', FOLDER)
    complete = with_topics(given | {'visible_info_topic': '/mine'}, profiles)
    assert complete == {
        'visible_topic': 'camera/camera/color/image_raw',
        'visible_info_topic': '/mine',
        'thermal_topic': 'thermal_image',
        'thermal_info_topic': 'camera_info',
    }
    assert with_topics(given, [])['thermal_topic'] == 'thermal/image_raw'


def test_guidance_node_gets_what_it_has() -> None:
    (profile,) = read_profiles('infiray_p2', FOLDER)
    assert profile.parameters_of_guidance() == {'thermal_encoding': '16UC1', 'thermal_cut_top': 192}


def test_a_profile_of_ones_own_is_a_file(tmp_path: Path) -> None:
    content = yaml.safe_load((FOLDER / 'lepton.yaml').read_text())
    file = tmp_path / 'mine.yaml'
    file.write_text(yaml.safe_dump(content | {'parameters': {'thermal_scale': 0.5}}))
    assert read_profiles(str(file), FOLDER)[0].parameters == {'thermal_scale': 0.5}
    for change, words in (
        ({'parameters': {'thermal_scale': 'much'}}, "'thermal_scale' is 'much'"),
        ({'parameters': {'scale': 1.0}}, "unknown parameter 'scale'"),
        ({'parameters': None}, 'parameters: None is not names and values'),
        ({'parameters': {1: 2}}, 'parameters: 1 is not of type str'),
        ({'topics': {'image': ['a']}}, r"topics: image: \['a'\] is not of type str"),
        ({'size': 160}, 'size: 160 is no list'),
        ({'camera': 'both'}, "camera is 'both'"),
        ({'more': 1}, "no setting 'more'"),
        ({'rate': 'often'}, "rate: 'often' is not of type float"),
    ):
        file.write_text(yaml.safe_dump(content | change))
        with pytest.raises(InputError, match=words):
            read_profiles(str(file), FOLDER)
    del content['topics'], content['size']
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match='needs topics, size'):
        read_profiles(str(file), FOLDER)
    with pytest.raises(InputError, match='known are boson, flir_a_series'):
        read_profiles('leptn', FOLDER)
    with pytest.raises(InputError, match='2 of them are thermal'):
        read_profiles('lepton,boson', FOLDER)
