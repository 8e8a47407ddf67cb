"""Messages and arrays: every encoding against a pixel-by-pixel reading of the bytes, bad messages, calibrations."""

import array
import struct
import subprocess
import sys

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.encodings import LAYOUTS
from ldfusion_models.camera.lens import Intrinsics, Lens, without_flying_points
from ldfusion_models.camera.ranges import points_of_cloud, structured_points
from ldfusion_models.errors import InputError

pytest.importorskip('sensor_msgs', reason='needs the ROS messages: pip install .[ros]')
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ldfusion_models.camera.camera_info import intrinsics_from_message
from ldfusion_models.rig.rig import Frame, View, within_limits
from ldfusion_models.rig.settings import RigSettings
from ldfusion_ros.messages.clouds import CloudBuilder, stride_within
from ldfusion_ros.messages.conversions import (
    camera_info_from_intrinsics,
    fill_image,
    image_from_compressed,
    image_from_message,
    moved_camera_info,
)

CHANNELS = {'rgb8': 'rgb', 'bgr8': 'bgr', 'rgba8': 'rgba', 'bgra8': 'bgra', '8UC3': 'bgr'}
GREY = {'mono8': 1, '8UC1': 1, 'mono16': 2, '16UC1': 2}
HEADER = Header(frame_id='camera')


def make_message(encoding: str, width: int, height: int, padding: int = 0, big: bool = False, seed: int = 0) -> Image:
    size = GREY.get(encoding) or len(CHANNELS[encoding])
    step = width * size + padding
    data = np.random.default_rng(seed).integers(0, 256, height * step, np.uint8)
    message = Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=big)
    message.data = array.array('B', data.tobytes())
    return message


def pixel(message: Image, row: int, column: int) -> int | tuple[int, ...]:
    """One pixel read from the bytes as the Image message defines them."""
    data = bytes(message.data)
    if message.encoding in GREY:
        size = GREY[message.encoding]
        start = row * message.step + column * size
        if size == 1:
            return data[start]
        return int(struct.unpack('>H' if message.is_bigendian else '<H', data[start : start + 2])[0])
    order = CHANNELS[message.encoding]
    start = row * message.step + column * len(order)
    return tuple(data[start + order.index(channel)] for channel in 'rgb')


@settings(deadline=None)
@given(
    st.sampled_from([*CHANNELS, *GREY]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 5),
    st.booleans(),
    st.integers(0, 100),
)
def test_every_encoding_is_read_as_the_message_defines_it(
    encoding: str, width: int, height: int, padding: int, big: bool, seed: int
) -> None:
    message = make_message(encoding, width, height, padding, big, seed)
    image = image_from_message(message)
    assert image.dtype == (np.uint16 if GREY.get(encoding) == 2 else np.uint8)
    assert image.shape == ((height, width) if encoding in GREY else (height, width, 3))
    for row in range(height):
        for column in range(width):
            assert np.array_equal(image[row, column], pixel(message, row, column))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'encoding': 'yuv4:2:0'}, "'yuv4:2:0' is not supported; use one of rgb8"),
        ({'encoding': ''}, 'not supported'),
        ({'width': 0}, 'empty'),
        ({'height': 0}, 'empty'),
        ({'encoding': 'yuv422', 'width': 3}, 'of 3x3 pixels can not be yuv422'),
        ({'encoding': 'nv12', 'height': 1}, 'can not be nv12'),
        ({'step': 11}, 'step of 11 bytes is too short for 4 pixels of rgb8'),
        ({'height': 4}, 'truncated: 36 bytes instead of 48'),
        ({'data': array.array('B')}, 'truncated: 0 bytes'),
    ],
)
def test_bad_images_are_refused_in_words(change: dict[str, object], words: str) -> None:
    message = make_message('rgb8', 4, 3)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InputError, match=words):
        image_from_message(message)


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.text(max_size=10) | st.sampled_from([*CHANNELS, *GREY]),
    st.binary(max_size=200),
)
def test_random_messages_give_an_image_or_an_input_error(
    height: int, width: int, step: int, encoding: str, data: bytes
) -> None:
    message = Image(height=height, width=width, step=step, encoding=encoding)
    message.data = array.array('B', data)
    try:
        image = image_from_message(message)
    except InputError:
        return
    assert image.shape[:2] == (height, width)


@pytest.mark.parametrize('ending', ['.png', '.jpg', '.tiff'])
def test_compressed_images_come_out_in_rgb(ending: str) -> None:
    colour = np.zeros((32, 40, 3), np.uint8)
    colour[:, :20] = (200, 30, 60)
    _, data = cv2.imencode(ending, colour[..., ::-1])
    image = image_from_compressed(CompressedImage(format=ending, data=array.array('B', data.tobytes())))
    assert image.shape == colour.shape
    assert np.abs(image.astype(int) - colour)[:, [0, 10, 30, 39]].max() <= 6


@pytest.mark.parametrize(
    'said', ['', 'jpeg', 'png', 'bgr8; jpeg compressed bgr8', 'bayer_rggb8; png compressed ', 'h264']
)
@pytest.mark.parametrize('ending', ['.png', '.jpg'])
def test_the_bytes_decide_what_an_image_is_whatever_its_format_says(ending: str, said: str) -> None:
    data = array.array('B', cv2.imencode(ending, np.full((8, 10, 3), (200, 100, 50), np.uint8))[1].tobytes())
    image = image_from_compressed(CompressedImage(format=said, data=data))
    assert np.abs(image.astype(int) - (50, 100, 200)).max() <= 3


@pytest.mark.parametrize('header', [b'', struct.pack('<iff', 0, 0.0, 0.0)], ids=['png', 'compressedDepth'])
def test_compressed_counts_keep_16_bits(header: bytes) -> None:
    counts = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40) * 50
    message = CompressedImage(format='16UC1; compressedDepth png')
    message.data = array.array('B', header + cv2.imencode('.png', counts)[1].tobytes())
    assert np.array_equal(image_from_compressed(message), counts)
    if header:
        message.format = '32FC1; compressedDepth png'
        with pytest.raises(InputError, match='send temperatures raw'):
            image_from_compressed(message)


@pytest.mark.parametrize('data', [b'', b'not an image', b'\xff\xd8\xff\xe0'])
def test_damaged_compressed_images_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=f'of {len(data)} bytes cannot be decoded'):
        image_from_compressed(CompressedImage(data=array.array('B', data)))


@pytest.mark.parametrize('ending', ['.png', '.jpg', '.tiff'])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 255)), max_size=5), kept=st.integers(0, 3000))
def test_any_damage_to_a_compressed_image_gives_an_image_or_an_input_error(
    ending: str, changes: list[tuple[int, int]], kept: int
) -> None:
    data = bytearray(cv2.imencode(ending, np.arange(600, dtype=np.uint8).reshape(10, 20, 3))[1].tobytes())
    for place, value in changes:
        data[place % len(data)] = value
    try:
        image = image_from_compressed(CompressedImage(data=array.array('B', bytes(data[:kept]))))
    except InputError:
        return
    assert image.size > 0


def test_an_image_that_promises_too_many_pixels_takes_no_memory() -> None:
    """A JPEG of 16x16 pixels whose header says 20000x20000: OpenCV would make up the rest."""
    script = """
import ldfusion_ros
import cv2, numpy
from ldfusion_models.camera.encodings import decode_compressed
from ldfusion_models.errors import InputError

data = bytearray(cv2.imencode('.jpg', numpy.zeros((16, 16, 3), numpy.uint8))[1].tobytes())
size = data.index(bytes([0xFF, 0xC0])) + 5
data[size : size + 4] = 2 * (20000).to_bytes(2, 'big')
try:
    decode_compressed(bytes(data))
except InputError:
    print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])
"""
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 500_000


@pytest.mark.parametrize(
    ('image', 'encoding', 'step'),
    [
        (np.arange(24, dtype=np.uint8).reshape(2, 4, 3), 'rgb8', 12),
        (np.arange(8, dtype=np.uint8).reshape(2, 4), 'mono8', 4),
        (np.arange(8, dtype=np.uint16).reshape(2, 4) * 7000, '16UC1', 8),
        (np.array([[1.5, np.nan], [3.25, 1e9]], np.float32), '32FC1', 8),
    ],
)
def test_images_are_filled_byte_by_byte(image: npt.NDArray[np.uint8], encoding: str, step: int) -> None:
    message = fill_image(Image(), image, HEADER)
    assert (message.encoding, message.step, message.height, message.width) == (encoding, step, *image.shape[:2])
    assert message.header.frame_id == 'camera'
    assert isinstance(message.data, array.array)
    little = image.astype(image.dtype.newbyteorder('<'))
    assert message.data.tobytes() == little.tobytes()


def test_a_kept_message_takes_images_of_other_sizes() -> None:
    message = Image()
    for size in ((4, 6), (8, 6), (4, 6)):
        image = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)
        assert np.array_equal(image_from_message(fill_image(message, image, HEADER)), image)


def project(k: list[float], point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    u, v, w = np.array(k, np.float64).reshape(3, -1)[:, :3] @ point
    return np.array([u / w, v / w])


def full_info() -> CameraInfo:
    camera = Intrinsics(640, 480, 500.0, 510.0, 310.0, 250.0)
    info = camera_info_from_intrinsics(camera, HEADER)
    info.p[0], info.p[5], info.p[3] = 480.0, 490.0, -48.0
    return info


def test_intrinsics_round_trip() -> None:
    camera = Intrinsics(640, 480, 500.0, 510.0, 310.0, 250.0)
    assert intrinsics_from_message(camera_info_from_intrinsics(camera, HEADER)) == camera


def test_scaled_calibration_sees_the_same_points_in_the_scaled_image() -> None:
    """A point at pixel u of the full image lies at (u + 0.5) * scale - 0.5 of the resized one."""
    info = full_info()
    scaled = moved_camera_info(info, intrinsics_from_message(info).scaled(320, 160), HEADER)
    assert (scaled.width, scaled.height) == (320, 160)
    for point in ([0.3, -0.2, 2.0], [-1.0, 0.7, 5.0]):
        for name in ('k', 'p'):
            u, v = project(getattr(info, name), np.array(point))
            expected = [(u + 0.5) / 2 - 0.5, (v + 0.5) / 3 - 0.5]
            assert project(getattr(scaled, name), np.array(point)) == pytest.approx(expected)
    assert scaled.p[3] == -24.0
    info.p = [0.0] * 12
    scaled = moved_camera_info(info, intrinsics_from_message(info).scaled(320, 160), HEADER)
    assert np.array_equal(np.reshape(scaled.p, (3, 4)), np.c_[np.reshape(scaled.k, (3, 3)), np.zeros(3)])


def test_region_of_interest_and_binning_are_worked_in() -> None:
    """The image starts at (100, 40) of the sensor and joins 2 x 2 pixels."""
    info = full_info()
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 400, 300
    info.binning_x = info.binning_y = 2
    camera = intrinsics_from_message(info)
    scaled = moved_camera_info(info, camera, HEADER)
    assert (camera.width, camera.height) == (scaled.width, scaled.height) == (200, 150)
    assert (scaled.roi.width, scaled.binning_x) == (0, 0)
    for point in ([0.3, -0.2, 2.0], [0.1, 0.2, 5.0]):
        for name in ('k', 'p'):
            u, v = project(getattr(info, name), np.array(point))
            expected = [(u - 100 + 0.5) / 2 - 0.5, (v - 40 + 0.5) / 2 - 0.5]
            assert project(getattr(scaled, name), np.array(point)) == pytest.approx(expected)
    assert project(scaled.k, np.array([0.3, -0.2, 2.0])) == pytest.approx(
        [camera.fx * 0.15 + camera.cx, camera.fy * -0.1 + camera.cy]
    )


@pytest.mark.parametrize('sent', ['whole', 'doubled', 'picture', 'binned', 'distorted', 'unknown lens'])
def test_rows_that_are_cut_from_images_are_cut_from_their_calibration(sent: str) -> None:
    """Of 640x488 pixels five rows at the top and three at the bottom are telemetry; K, P and lens are cut alike."""
    info = camera_info_from_intrinsics(Intrinsics(640, 488, 500.0, 510.0, 310.0, 250.0), HEADER)
    info.p[0], info.p[5], info.p[3] = 480.0, 490.0, -48.0
    factor, above = 1, 5
    if sent == 'doubled':
        factor, info.width, info.height = 2, 1280, 976
    elif sent == 'picture':
        above, info.height = 0, 480
    elif sent == 'binned':
        factor, info.width, info.height, info.binning_x, info.binning_y = 2, 1280, 976, 2, 2
    elif sent == 'distorted':
        info.d = [-0.2, 0.05, 0.001, 0.0, 0.0]
    elif sent == 'unknown lens':
        info.distortion_model, info.d = 'omnidirectional', [1.0]
    cut = Calibration.from_message(info).rows(640, 488, 5, 480).scaled(640, 480)
    moved = moved_camera_info(info, cut.camera, HEADER)
    assert (moved.width, moved.height, moved.roi.height, moved.binning_x) == (640, 480, 0, 0)
    for name in ('k', 'p'):
        for point in ([0.3, -0.2, 2.0], [-1.0, 0.7, 5.0]):
            u, v = project(getattr(info, name), np.array(point))
            expected = [(u + 0.5) / factor - 0.5, (v + 0.5) / factor - 0.5 - above]
            assert project(getattr(moved, name), np.array(point)) == pytest.approx(expected)
    if sent == 'unknown lens':
        assert cut.lens is None
        return
    points = np.array([[0.3, -0.2, 2.0]], np.float32)
    whole = Calibration.from_message(info).scaled(640, 488 if above else 480).lens
    assert whole is not None
    assert cut.lens is not None
    assert cut.lens.project(points) == pytest.approx(whole.project(points) - [0, above], abs=1e-3)
    assert cut.lens.pinhole.cy == pytest.approx(whole.pinhole.cy - above)


@pytest.mark.parametrize(('index', 'value'), [(0, 0.0), (0, float('nan')), (2, float('inf')), (4, -3.0)])
def test_uncalibrated_cameras_are_refused(index: int, value: float) -> None:
    info = full_info()
    info.k[index] = value
    with pytest.raises(InputError, match='calibrate'):
        intrinsics_from_message(info)


def frame_of(
    depth: npt.NDArray[np.float32],
    colour: npt.NDArray[np.uint8],
    thermal: npt.NDArray[np.float32],
    camera: Intrinsics | None,
    lens: Lens | None = None,
) -> Frame:
    """A frame as the rig makes it of an image that its camera's lens has bent, if there is one."""
    calibration = Calibration.of_lens(lens) if lens else None
    view = View(colour, colour[..., 0], None, None, camera, calibration)
    return Frame(colour, depth, depth, np.ones_like(depth), thermal, camera, calibration, view, {})


def test_cloud_holds_the_points_of_the_pinhole_camera() -> None:
    camera = Intrinsics(6, 4, 5.0, 6.0, 2.5, 1.5)
    generator = np.random.default_rng(3)
    depth = generator.uniform(1, 20, (4, 6)).astype(np.float32)
    depth[2, 2] = np.nan
    colour = generator.integers(0, 256, (4, 6, 3), np.uint8)
    thermal = generator.uniform(270, 310, (4, 6)).astype(np.float32)
    builder = CloudBuilder()
    for stride in (1, 2):
        cloud = builder.fill(frame_of(depth, colour, thermal, camera), HEADER, stride)
        assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb', 'thermal']
        assert (cloud.height, cloud.width) == (-(-4 // stride), -(-6 // stride))
        assert len(cloud.data) == cloud.height * cloud.row_step
        assert not cloud.is_dense
        for row in range(cloud.height):
            for column in range(cloud.width):
                start = row * cloud.row_step + column * cloud.point_step
                x, y, z, bits, thermal_value = struct.unpack('<fffIf', bytes(cloud.data[start : start + 20]))
                v, u = row * stride, column * stride
                expected = np.array([(u - 2.5) / 5, (v - 1.5) / 6, 1]) * depth[v, u]
                assert [x, y, z] == pytest.approx(expected, rel=1e-5, nan_ok=True)
                assert bits == (int(colour[v, u, 0]) << 16) | (int(colour[v, u, 1]) << 8) | int(colour[v, u, 2])
                assert thermal_value == thermal[v, u]
    assert builder.fill(frame_of(np.ones_like(depth), colour, thermal, camera), HEADER).is_dense
    with pytest.raises(InputError, match='camera_info'):
        builder.fill(frame_of(depth, colour, thermal, None), HEADER)


@pytest.mark.parametrize(
    ('model', 'coefficients'),
    [
        ('plumb_bob', (-0.3, 0.1, 0.001, -0.002, 0.0)),
        ('rational_polynomial', (0.4, -0.1, 1e-3, 1e-4, 0.02, 0.6, -0.05, 0.01)),
        ('equidistant', (0.02, -0.01, 0.003, 0.0)),
    ],
)
def test_cloud_of_a_distorted_image_lies_where_its_lens_sees_it(model: str, coefficients: tuple[float, ...]) -> None:
    lens = Lens(Intrinsics(64, 48, 40.0, 41.0, 31.0, 24.5), model, coefficients)
    depth = np.random.default_rng(4).uniform(1, 20, (48, 64)).astype(np.float32)
    frame = frame_of(depth, np.zeros((48, 64, 3), np.uint8), depth, lens.camera, lens)
    cloud = CloudBuilder().fill(frame, HEADER)
    points = np.frombuffer(cloud.data, '<f4').reshape(48, 64, 5)[..., :3]
    assert np.isfinite(points).mean() > 0.9
    pixels = lens.project(points.copy())
    grid = np.stack(np.meshgrid(np.arange(64), np.arange(48)), axis=-1)
    assert np.nanmax(np.abs(pixels - grid)) < 0.02
    assert np.array_equal(points[..., 2], depth)


def test_what_is_out_of_range_or_unsure_is_unknown() -> None:
    depth = np.array([[0.1, 0.5, 5.0, 50.0, np.nan]], np.float32)
    confidence = np.array([[0.9, 0.2, 0.9, 0.9, 0.9]], np.float32)
    for limits, unknown in (
        (RigSettings(), [False, False, False, False, True]),
        (RigSettings(minimum_depth=0.5, maximum_depth=5.0), [True, False, False, True, True]),
        (RigSettings(minimum_confidence=0.5), [False, True, False, False, True]),
        (RigSettings(minimum_confidence=0.5, maximum_depth=5.0), [False, True, False, True, True]),
    ):
        assert np.isnan(within_limits(depth, confidence, limits)).tolist() == [unknown]


def test_flying_points_are_removed_at_edges_and_slopes_stay() -> None:
    depth = np.full((20, 30), 4.0, np.float32)
    depth[:, 15:] = 12.0
    depth[:, 14] = 8.0
    depth[:5] = np.nan
    depth[10:] = np.linspace(4, 5, 30)
    filtered = without_flying_points(depth, 0.1)
    assert np.isnan(filtered[6:8, 13:16]).all()
    assert np.isfinite(filtered[6:8, :13]).all()
    assert np.isfinite(filtered[6:8, 16:]).all()
    assert np.isfinite(filtered[12:]).all()


# What cv_bridge calls no colour, or does not know.
OURS_ALONE = ('8UC1', '8UC3', '8UC4', 'uyvy', 'yuyv', 'nv12', 'nv21')


@pytest.mark.parametrize('encoding', [name for name in LAYOUTS if name not in OURS_ALONE])
def test_same_result_as_cv_bridge(encoding: str) -> None:
    bridge = pytest.importorskip('cv_bridge', reason='cv_bridge comes with a ROS distribution').CvBridge()
    layout = LAYOUTS[encoding]
    step = 8 * layout.channels * np.dtype(layout.dtype).itemsize
    message = Image(height=6, width=8, encoding=encoding, step=step)
    message.data = array.array('B', np.random.default_rng(0).integers(0, 100, 6 * step, np.uint8).tobytes())
    is_colour = layout.channels > 1 or encoding.startswith('bayer')
    wanted = ('rgb16' if '16' in encoding else 'rgb8') if is_colour else 'passthrough'
    assert np.array_equal(image_from_message(message), bridge.imgmsg_to_cv2(message, wanted))


def test_images_are_made_as_cv_bridge_makes_them() -> None:
    bridge = pytest.importorskip('cv_bridge', reason='cv_bridge comes with a ROS distribution').CvBridge()
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for made, encoding in ((image, 'rgb8'), (image[..., 0], 'mono8'), (image[..., 0] / np.float32(9), '32FC1')):
        assert fill_image(Image(), made, HEADER) == bridge.cv2_to_imgmsg(made, encoding, HEADER)


def test_same_clouds_as_sensor_msgs_py() -> None:
    """Each reads the other's, and what it makes of ours is ours, but for the order of rows."""
    theirs = pytest.importorskip('sensor_msgs_py.point_cloud2', reason='sensor_msgs_py comes with a ROS distribution')
    depth = np.random.default_rng(0).uniform(1, 9, (5, 7)).astype(np.float32)
    colour = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    cloud = CloudBuilder().fill(frame_of(depth, colour, depth * 2, Intrinsics.from_field_of_view(7, 5, 60)), HEADER)
    points = theirs.read_points(cloud)
    assert points.dtype == structured_points(cloud).dtype
    assert points.tobytes() == structured_points(cloud).tobytes()
    flat = theirs.create_cloud(cloud.header, cloud.fields, points)
    assert (flat.data, flat.fields, flat.point_step) == (cloud.data, cloud.fields, cloud.point_step)
    assert np.array_equal(points_of_cloud(flat), theirs.read_points_numpy(cloud, ['x', 'y', 'z']))
    sparse = np.random.default_rng(2).uniform(-9, 9, (11, 3)).astype(np.float32)
    assert np.array_equal(points_of_cloud(theirs.create_cloud_xyz32(HEADER, sparse)), sparse)


@pytest.mark.parametrize(
    ('limit', 'size', 'stride', 'expected'),
    [
        (1_000_000, (3840, 2160), 1, 3),
        (1_000_000, (1280, 720), 1, 1),
        (1_000_000, (3840, 2160), 4, 4),
        (0, (3840, 2160), 1, 1),
        (1, (5, 3), 1, 5),
    ],
)
def test_the_stride_keeps_a_cloud_within_its_limit(
    limit: int, size: tuple[int, int], stride: int, expected: int
) -> None:
    assert stride_within(limit, *size, stride) == expected
