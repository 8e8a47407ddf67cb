"""Registration in the live node: what a robot's cameras, calibrations and transforms make of the outputs."""

import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from live import CAMERA, Array, Robot, header, scene, stamp_of

from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Registrar, Registration
from ldfusion_models.camera.registration_file import write_registration
from ldfusion_models.errors import InputError
from ldfusion_models.rig.pipeline import Pipeline

pytest.importorskip('sensor_msgs', reason='needs ROS 2: pip install .[ros]')
from sensor_msgs.msg import CameraInfo
from views import two_views

from ldfusion_models.camera.camera_info import lens_from_message
from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, image_from_message
from ldfusion_ros.messages.transforms import Transforms, matrix_from

THERMAL = Intrinsics(80, 64, 110.0, 110.0, 39.5, 31.5)
DISTORTION = (-0.2, 0.05, 0.001, 0.0, 0.0)
BESIDE = ((1.0, 0.0, 0.0, -0.1), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def distorted_info(camera: Intrinsics, frame: str) -> CameraInfo:
    info = camera_info_from_intrinsics(camera, header(0, frame))
    info.d = list(DISTORTION)
    info.p[0], info.p[5] = 0.9 * camera.fx, 0.9 * camera.fy
    return info


def counts() -> Array:
    return cv2.resize(scene()[1], (80, 64)).astype(np.uint16) * 10 + 20000


def heat_of_pair(robot: Robot, visible: Array, thermal: Array) -> Array:
    """The thermal field of the cloud that a pair becomes."""
    stamp_ns = robot.send_pair(visible, thermal)
    robot.wait(lambda: robot.clouds and stamp_of(robot.clouds[-1]) == stamp_ns, 'the cloud of this pair')
    cloud = robot.clouds[-1]
    return np.frombuffer(cloud.data, '<f4').reshape(cloud.height, cloud.width, -1)[..., 4]


def test_cameras_from_camera_info_and_extrinsics_from_the_file(tmp_path: Path) -> None:
    """Distorted cameras side by side: outputs are those of the undistorted visible camera, thermal is in its place."""
    file = tmp_path / 'registration.yaml'
    registration = Registration('cameras', undistort=True, thermal_T_visible=BESIDE, distance=2.0)
    write_registration(file, registration)
    visible, thermal = scene()[0], counts()
    with Robot({'registration_file': str(file), 'drift_period': 0.0}) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_pair(visible, thermal)
        robot.wait(lambda: robot.images, 'a fused image without calibration')
        robot.wait(
            lambda: (
                'not registered: registration by cameras lacks visible camera and thermal camera: publish'
                in robot.told()['message']
            ),
            'what is missing, in words',
        )
        assert 'not applied' in robot.told()['registration']
        infos = distorted_info(CAMERA, 'visible_optical'), distorted_info(THERMAL, 'thermal_optical')
        for camera, info in zip(('visible', 'thermal'), infos, strict=True):
            robot.send_info(info, camera)
        robot.wait(lambda: robot.send_pair(visible, thermal) and robot.clouds, 'a cloud')
        robot.wait(lambda: robot.told()['registration'] == 'cameras, undistorted', 'registration in diagnostics')
        robot.wait(lambda: 'not registered' not in robot.told()['message'], 'nothing to say')
        lenses = [lens_from_message(info) for info in infos]
        expected = Registrar(registration.complete(*lenses))(visible, thermal)
        heat = heat_of_pair(robot, visible, thermal)
        assert expected.coverage is not None and expected.camera is not None
        assert np.array_equal(np.isnan(heat), expected.coverage == 0)
        assert np.array_equal(heat[expected.coverage > 0], expected.thermal[expected.coverage > 0])
        uncovered = expected.coverage == 0
        assert np.array_equal(image_from_message(robot.images[-1])[uncovered], expected.visible[uncovered])
        info = robot.infos[-1]
        assert (list(info.d), info.k[0], info.p[0]) == ([0.0] * 5, 0.9 * CAMERA.fx, 0.9 * CAMERA.fx)
        assert robot.images[-1].header.frame_id == 'visible_optical'
        with robot.settings(registration_distance=1.0):
            nearer = Registrar(replace(registration.complete(*lenses), distance=1.0))(visible, thermal)
            heat = heat_of_pair(robot, visible, thermal)
            assert nearer.coverage is not None
            assert np.array_equal(np.isnan(heat), nearer.coverage == 0)


def test_a_camera_alone_is_undistorted_too(tmp_path: Path) -> None:
    """Visible and thermal lost in turn: the other one's image is undistorted, with the camera of its own lens."""
    file = tmp_path / 'registration.yaml'
    lens = Lens(CAMERA, 'plumb_bob', DISTORTION, rectified=replace(CAMERA, fx=120.0, fy=120.0))
    other = Lens(replace(CAMERA, fx=110.0), 'plumb_bob', DISTORTION)
    registration = Registration('cameras', True, lens, other, thermal_T_visible=BESIDE, geometry='depth')
    write_registration(file, registration)
    registrar = Registrar(registration)
    pipeline = Pipeline.load('onnxruntime', threads=2)
    visible, thermal = scene()
    with Robot({'registration_file': str(file), 'degraded_after': 0.5}) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.fuse_good_pair()
        # By depth: the second pair is registered with what the first one saw.
        assert image_from_message(robot.fuse_good_pair()).shape == visible.shape
        for lost, kept, image in (('thermal', 'visible', visible), ('visible', 'thermal', thermal)):
            robot.unplug(lost)

            def alone(kept: str = kept, image: Array = image) -> bool:
                robot.stamp_ns += 50_000_000
                robot.send(kept, image, robot.stamp_ns)
                time.sleep(0.05)
                return robot.told().get('mode') == f'{kept} only'

            robot.wait(alone, f'{kept} only')
            undistorted, camera = registrar.alone(kept, image)
            assert camera is not None
            grey = undistorted if image.ndim == 2 else cv2.cvtColor(undistorted, cv2.COLOR_RGB2GRAY)
            expected = pipeline(undistorted, grey, focal=camera.fx).fused
            assert np.abs(image_from_message(robot.images[-1]).astype(int) - expected).max() <= 1
            assert robot.infos[-1].k[0] == camera.fx
            robot.plug_in(lost)
            robot.wait(robot.is_ready, 'camera back')
            robot.wait(lambda: robot.fuse_good_pair() and robot.told()['mode'] == 'normal', 'normal mode')


def test_without_tf_the_node_goes_on_and_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / 'registration.yaml'
    lens = Lens(CAMERA, 'plumb_bob', DISTORTION)
    write_registration(file, Registration('cameras', True, visible=lens, thermal=Lens(THERMAL)))
    with Robot({'registration_file': str(file)}) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        fused = image_from_message(robot.fuse_good_pair())
        assert np.abs(fused.astype(int) - Pipeline.load('onnxruntime', threads=2)(*scene()).fused).max() <= 1
        robot.wait(
            lambda: 'write thermal_T_visible into the registration file' in robot.told()['message'], 'the remedy'
        )
        # The file's camera stands in for camera_info, its distortion still in the image.
        assert 'no visible camera_info' not in robot.told()['message']
        robot.wait(lambda: robot.infos, 'camera_info')
        assert (robot.infos[-1].k[0], tuple(robot.infos[-1].d)) == (CAMERA.fx, DISTORTION)


def test_a_bad_file_fails_the_transition_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / 'registration.yaml'
    file.write_text('format: something else')
    with Robot({'registration_file': str(file)}, listener=False, cameras=False) as robot:
        robot.wait(lambda: f'cannot configure: {file}: format: ldfusion' in robot.told().get('message', ''), 'the file')
        file.unlink()
        write_registration(file, Registration())
        robot.node.bring_up()
        robot.wait(lambda: robot.told().get('state') == 'active', 'active after a correction')


def test_drift_is_watched(tmp_path: Path) -> None:
    first, second = two_views(3, 9, -4)
    with Robot({'drift_period': 0.05, 'drift_warning': 5.0}) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)

        def warns() -> bool:
            robot.send_pair(np.repeat(first[..., None], 3, axis=2), second)
            return 'thermal image is off by 10 pixels: it belongs 9 to the right and -4 down' in robot.told()['message']

        robot.wait(warns, 'words about drift')
        assert robot.told()['registration'] == 'none: images are taken as aligned'
        with robot.settings(drift_warning=20.0):
            robot.wait(lambda: 'off by' not in robot.told()['message'], 'a higher threshold')


def test_lenses_of_messages() -> None:
    info = distorted_info(CAMERA, '')
    lens = lens_from_message(info)
    assert (lens.camera, lens.model, lens.coefficients) == (CAMERA, 'plumb_bob', DISTORTION)
    assert lens.rectified == replace(CAMERA, fx=0.9 * CAMERA.fx, fy=0.9 * CAMERA.fy)
    info.roi.x_offset, info.roi.width, info.roi.height, info.binning_x, info.binning_y = 20, 80, 64, 2, 2
    lens = lens_from_message(info)
    assert (lens.camera.width, lens.camera.cx) == (40, (CAMERA.cx - 20 + 0.5) / 2 - 0.5)
    assert lens.rectified is not None
    assert lens.rectified.fx == 0.45 * CAMERA.fx
    for model, coefficients, expected in (
        ('', [], ('plumb_bob', ())),
        ('fisheye', [0.1, 0.0, 0.0, 0.0], ('equidistant', (0.1, 0.0, 0.0, 0.0))),
        ('rational_polynomial', [0.1, *[0.0] * 13], ('rational_polynomial', (0.1, *[0.0] * 7))),
        ('rational_polynomial', [0.0] * 14, ('plumb_bob', ())),
    ):
        info.distortion_model, info.d = model, coefficients
        lens = lens_from_message(info)
        assert (lens.model, lens.coefficients) == expected
    info.p = [0.0] * 12
    assert lens_from_message(info).rectified is None, 'K is used where P is empty'
    for model, coefficients in (('thin_prism', [0.1] * 4), ('plumb_bob', [0.1]), ('plumb_bob', [np.nan] * 5)):
        info.distortion_model, info.d = model, coefficients
        with pytest.raises(InputError, match='distortion'):
            lens_from_message(info)


def test_extrinsics_come_from_tf() -> None:
    tf2_ros = pytest.importorskip('tf2_ros', reason='comes with a ROS distribution')
    from geometry_msgs.msg import TransformStamped

    with Robot(listener=False, cameras=False) as robot:
        transforms = Transforms(robot.node)
        stamped = TransformStamped(header=header(0, 'visible_optical'), child_frame_id='thermal_optical')
        stamped.transform.translation.x, stamped.transform.rotation.w = 0.1, 1.0
        sender = tf2_ros.StaticTransformBroadcaster(robot.other)
        sender.sendTransform(stamped)

        def found() -> bool:
            try:
                return transforms.lookup('thermal_optical', 'visible_optical') == BESIDE
            except InputError:
                return False

        robot.wait(found, 'the transform')
        with pytest.raises(InputError, match='no transform from visible_optical to elsewhere'):
            transforms.lookup('elsewhere', 'visible_optical')
        transforms.release()


def test_transforms_turn_as_opencv_turns() -> None:
    axis = np.array([0.2, -0.5, 0.3])
    angle = np.linalg.norm(axis)
    quaternion = (*(3 * np.sin(angle / 2) * axis / angle), 3 * np.cos(angle / 2))
    matrix = np.array(matrix_from((1.0, 2.0, 3.0), quaternion))
    assert np.allclose(matrix[:3, :3], cv2.Rodrigues(axis)[0])
    assert np.allclose(matrix[:3, 3], (1, 2, 3))
    with pytest.raises(InputError, match='quaternion of zeros'):
        matrix_from((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
