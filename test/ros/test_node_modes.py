"""fusion_node's settings, each seen from outside: what arrives, what does not, and what the diagnostics say."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from live import CAMERA, HEIGHT, WIDTH, Array, Robot, depth_of, header, scene, stamp_of

from ldfusion_models.depth_files import depth_to_units
from ldfusion_models.files import read_image
from ldfusion_models.rig.pipeline import Pipeline

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from builtin_interfaces.msg import Time
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Float32MultiArray, MultiArrayDimension
from std_srvs.srv import Trigger

from ldfusion_ros.messages.conversions import (
    camera_info_from_intrinsics,
    fill_image,
    image_from_compressed,
    image_from_message,
)
from ldfusion_ros.parts.cameras import CAMERAS


@pytest.fixture(scope='module')
def robot() -> Iterator[Robot]:
    with Robot({'degraded_after': 0.5}) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        robot.send_info(camera='thermal')
        yield robot


@pytest.fixture(scope='module')
def pipeline() -> Pipeline:
    return Pipeline.load('onnxruntime', threads=2)


def fields_of(cloud: PointCloud2) -> Array:
    """(H, W, 5): x, y, z, rgb, thermal."""
    return np.frombuffer(cloud.data, '<f4').reshape(cloud.height, cloud.width, 5)


def test_depth_in_millimetres_within_range(robot: Robot) -> None:
    metres = depth_of(robot.fuse_to_depth())
    low, high = np.quantile(metres, (0.25, 0.75)).tolist()
    with robot.settings(depth_encoding='16UC1', minimum_depth=low, maximum_depth=high):
        message = robot.fuse_to_depth()
    assert message.encoding == '16UC1'
    kept = np.where((metres >= low) & (metres <= high), metres, np.float32(np.nan))
    assert np.array_equal(np.frombuffer(message.data, '<u2').reshape(HEIGHT, WIDTH), depth_to_units(kept, 1000, 0))
    assert 0.4 < np.isfinite(kept).mean() < 0.6


def test_confidence_is_told_and_unsure_depth_is_unknown(robot: Robot) -> None:
    whole = depth_of(robot.fuse_to_depth())
    heard: list[Image] = []
    topic = f'/{robot.node.get_name()}/depth/confidence'
    subscription = robot.other.create_subscription(Image, topic, heard.append, 10)
    robot.wait(lambda: robot.node.count_subscribers(topic), 'the subscription')
    stamp_ns = stamp_of(robot.fuse_to_depth())
    robot.wait(lambda: heard and stamp_of(heard[-1]) == stamp_ns, 'confidence')
    confidence = depth_of(heard[-1])
    assert 0 < confidence.min() < confidence.max() <= 1
    wanted = float(np.median(confidence))
    with robot.settings(minimum_confidence=wanted):
        kept = depth_of(robot.fuse_to_depth())
    np.testing.assert_array_equal(kept, np.where(confidence >= np.float32(wanted), whole, np.float32(np.nan)))
    robot.do(partial(robot.other.destroy_subscription, subscription))


def test_points_of_every_third_pixel_without_edges(robot: Robot) -> None:
    whole = depth_of(robot.fuse_to_depth())
    step = float(np.median(np.abs(np.diff(whole)) / whole[:, 1:]))
    with robot.settings(points_stride=3, flying_points=step):
        robot.fuse_good_pair()
        robot.wait(lambda: robot.clouds and robot.clouds[-1].width == 54, 'cloud')
    cloud = robot.clouds[-1]
    assert (cloud.height, cloud.width) == (43, 54)
    depth = fields_of(cloud)[..., 2]
    assert np.isnan(depth).any()
    assert not cloud.is_dense
    kept = np.isfinite(depth)
    assert kept.any()
    assert np.array_equal(depth[kept], whole[::3, ::3][kept])


def test_temperatures_in_the_cloud(robot: Robot) -> None:
    counts = np.full((HEIGHT, WIDTH), 29315, np.uint16)
    counts[50:70, 50:70] = 31015
    with robot.settings(thermal_scale=0.01, thermal_unit='celsius'):
        before = len(robot.clouds)
        robot.send_pair(thermal=counts)
        robot.wait(lambda: len(robot.clouds) > before, 'cloud')
        celsius = fields_of(robot.clouds[-1])[..., 4]
        robot.wait(lambda: robot.told().get('thermal range') == '20.0 to 37.0 celsius', 'temperatures in diagnostics')
    assert celsius[10, 10] == pytest.approx(20.0, abs=0.01)
    assert celsius[60, 60] == pytest.approx(37.0, abs=0.01)


def test_outputs_are_throttled_apart_from_each_other(robot: Robot) -> None:
    fused, clouds = len(robot.images), len(robot.clouds)
    with robot.settings(points_rate=0.5):
        start = time.monotonic()
        for _ in range(8):
            robot.fuse_good_pair()
        seconds = time.monotonic() - start
    assert len(robot.images) - fused == 8
    # At most one in 1.8 seconds, and the first: the rate with its slack.
    assert len(robot.clouds) - clouds <= 1 + seconds / 1.8


def test_a_compressed_fused_image_for_who_asks(robot: Robot) -> None:
    received: list[CompressedImage] = []
    subscription = robot.other.create_subscription(
        CompressedImage, '/fusion/fused/image/compressed', received.append, 5
    )
    robot.wait(lambda: robot.fuse_good_pair() and received, 'compressed image')
    robot.do(partial(robot.other.destroy_subscription, subscription))
    raw = image_from_message(robot.images[-1]).astype(int)
    assert received[-1].format == 'rgb8; jpeg compressed bgr8'
    assert np.abs(image_from_compressed(received[-1]) - raw).mean() < 8


def test_one_camera_goes_on_alone_and_the_other_comes_back(robot: Robot, pipeline: Pipeline) -> None:
    """A real publisher ends; the outputs go on, marked, and are normal again with the first pair."""
    robot.fuse_good_pair()
    visible, thermal = scene()
    for lost, kept, image in (('thermal', 'visible', visible), ('visible', 'thermal', thermal)):
        robot.unplug(lost)
        before = len(robot.images)

        def alone(kept: str = kept, image: Array = image, mode: str = f'{kept} only') -> bool:
            robot.stamp_ns += 50_000_000
            robot.send(kept, image, robot.stamp_ns)
            time.sleep(0.05)
            return robot.told().get('mode') == mode

        robot.wait(alone, f'{kept} only')
        assert len(robot.images) > before
        assert robot.images[-1].header.frame_id == f'{kept}_optical'
        assert robot.told()['level'] != '0'
        assert f'degraded: {kept} only' in robot.told()['message']
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        expected = pipeline(image, grey, focal=CAMERA.fx).fused
        assert np.abs(image_from_message(robot.images[-1]).astype(int) - expected).max() <= 1
        robot.plug_in(lost)
        robot.wait(robot.is_ready, 'camera back')
        robot.wait(lambda: robot.fuse_good_pair() and robot.told()['mode'] == 'normal', 'normal mode')
        assert robot.images[-1].header.frame_id == 'visible_optical'


def test_a_snapshot_holds_the_frame(robot: Robot, tmp_path: Path) -> None:
    client = robot.other.create_client(Trigger, '/fusion/save_snapshot')
    robot.wait(client.service_is_ready, 'service')

    def call() -> Trigger.Response:
        future = client.call_async(Trigger.Request())
        robot.wait(future.done, 'answer')
        return future.result()

    counts = scene()[1].astype(np.uint16) * 100 + 20000
    before = len(robot.images)
    robot.send_pair(thermal=counts)
    robot.wait(lambda: len(robot.images) > before, 'fused image')
    (tmp_path / 'file').write_text('in the way')
    for folder in (str(tmp_path / 'file'), '~nosuchuser/snapshots'):
        with robot.settings(snapshot_folder=folder):
            refused = call()
            assert (refused.success, folder in refused.message) == (False, True)
    with robot.settings(snapshot_folder=str(tmp_path / 'new')):
        answer = call()
        assert answer.success, answer.message
        again = call()
        assert (again.success, 'exists already' in again.message) == (False, True)
    folder = Path(answer.message)
    assert folder == tmp_path / 'new' / str(robot.stamp_ns)
    assert np.array_equal(read_image(folder / 'visible.png'), scene()[0])
    assert np.array_equal(read_image(folder / 'thermal.png'), counts)
    assert np.array_equal(read_image(folder / 'fused.png'), image_from_message(robot.images[-1]))
    assert np.array_equal(np.load(folder / 'depth.npy'), depth_of(robot.depths[-1]))
    frame = yaml.safe_load((folder / 'frame.yaml').read_text())
    assert (frame['frame_id'], frame['camera']['fx']) == ('visible_optical', CAMERA.fx)
    assert frame['parameters']['degraded_after'] == 0.5
    engine = robot.pipeline.engine
    assert (frame['facts']['engine'], frame['facts']['weights']) == (engine.name, engine.info.weights_id)
    robot.fuse_good_pair()


def text(encoder: str, values: Array) -> Float32MultiArray:
    message = Float32MultiArray(data=values.tolist())
    message.layout.dim = [MultiArrayDimension(label=encoder, size=len(values), stride=len(values))]
    return message


def test_text_is_applied_and_a_mismatch_refused(robot: Robot, pipeline: Pipeline) -> None:
    """Three embeddings that do not fit change nothing; one that fits gives what the pipeline gives with it."""
    info = pipeline.engine.info
    publisher = robot.other.create_publisher(Float32MultiArray, '/fusion/text_embedding', robot.latched())
    robot.wait(publisher.get_subscription_count, 'subscription')
    good = np.random.default_rng(0).normal(0, 3, info.text_dim).astype(np.float32)
    plain = image_from_message(robot.fuse_good_pair()).copy()
    bad = (text('another encoder', good), text(info.text_encoder, good[:-1]), text(info.text_encoder, good * np.nan))
    for number, message in enumerate(bad):
        publisher.publish(message)
        robot.wait(lambda number=number: robot.dropped('text_embedding') == number + 1, 'refusal in diagnostics')
    assert np.array_equal(image_from_message(robot.fuse_good_pair()), plain)
    assert robot.told()['text'] == 'none'
    publisher.publish(text(info.text_encoder, good))
    robot.wait(lambda: robot.told()['text'] == 'applied', 'text in diagnostics')
    expected = pipeline(*scene(), good, CAMERA.fx).fused
    assert np.abs(image_from_message(robot.fuse_good_pair()).astype(int) - expected).max() <= 1
    publisher.publish(text(info.text_encoder, np.zeros_like(good)))
    robot.wait(lambda: np.array_equal(image_from_message(robot.fuse_good_pair()), plain), 'no text again')
    robot.do(partial(robot.other.destroy_publisher, publisher))


def test_parameters_are_refused_with_a_reason(robot: Robot) -> None:
    for name, value, words in (
        ('warm_up_width', 320, 'deactivate and clean up first'),
        ('depth_encoding', '64FC1', 'choose one of 32FC1, 16UC1'),
        ('points_stride', 0, 'Min: 1, Max: 64'),
        ('sync_tolerance', 11.0, 'Max: 10.0'),
        ('autostart', False, 'read-only'),
    ):
        (result,) = robot.node.set_parameters([Parameter(name, value=value)])
        assert (result.successful, words in result.reason) == (False, True), (name, result.reason)
    robot.fuse_good_pair()


def test_the_diagnostics_tell_what_happened(pipeline: Pipeline) -> None:
    with Robot(name='teller') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        visible, thermal = scene()
        for number in range(1, 5):
            robot.stamp_ns += 100_000_000
            robot.send('visible', visible, robot.stamp_ns)
            if number == 2:
                # The first pair waited for this image, which might have been nearer.
                robot.wait(lambda: len(robot.images) == 1, 'first fused image')
            robot.send('thermal', thermal.astype(np.uint16) * 100 + 20000, robot.stamp_ns + 7_000_000)
            if number > 1:
                robot.wait(lambda number=number: len(robot.images) == number, 'fused image')
        robot.send('visible', visible, robot.stamp_ns)
        robot.wait(lambda: robot.dropped('visible_duplicate') == 1, 'drop')
        told = robot.told()
        expected = {
            'state': 'active',
            'mode': 'normal',
            'engine': robot.pipeline.engine.name,
            'weights': pipeline.engine.info.weights_id,
            'text': 'none',
            'engine switch': 'none',
            'time offset [ms]': '7.0',
            'thermal range': '26000.0 to 42000.0 counts',
            'count visible in': '5',
            'count thermal in': '4',
            'count pairs': '4',
            'count fused out': '4',
        }
        assert {key: told[key] for key in expected} == expected
        for stage in ('decode', 'register', 'engine', 'publish', 'fused', 'depth', 'latency'):
            assert 0 <= float(told[f'{stage} p50 [ms]']) <= float(told[f'{stage} p95 [ms]'])
        parts = sum(float(told[f'{stage} p50 [ms]']) for stage in ('decode', 'engine'))
        assert float(told['latency p95 [ms]']) > 0.9 * parts
        for rate in ('visible in', 'thermal in', 'pairs', 'fused out'):
            assert float(told[f'rate {rate} [Hz]']) >= 0


def test_nobody_listens_nothing_is_computed() -> None:
    with Robot(name='lonely', listener=False) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        for _ in range(3):
            robot.send_pair()
        robot.wait(lambda: robot.told().get('count not wanted') == '3', 'pairs that nobody wanted')
        assert 'engine p50 [ms]' not in robot.told()
        robot.listen()
        robot.wait(lambda: robot.node.count_subscribers('/lonely/fused/image'), 'listener')
        robot.fuse_good_pair()


def test_who_turns_laziness_off_gets_work_without_listeners() -> None:
    with Robot({'lazy': False}, name='eager', listener=False) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_pair()
        robot.wait(lambda: robot.told().get('count fused out') == '1', 'fused image that nobody asked for')
        assert float(robot.told()['engine p50 [ms]']) > 0
        assert 'count not wanted' not in robot.told()


def test_compressed_images_without_camera_info() -> None:
    """Compressed input by parameter; and without calibration there is an image and a depth, but no points."""
    with Robot({'visible_transport': 'compressed', 'thermal_transport': 'compressed'}, cameras=False) as robot:
        publishers = {
            camera: robot.other.create_publisher(CompressedImage, f'{camera}/image_raw/compressed', 5)
            for camera in ('visible', 'thermal')
        }
        robot.wait(
            lambda: all(publisher.get_subscription_count() for publisher in publishers.values()), 'subscriptions', 60
        )

        def send(**images: Array) -> None:
            robot.stamp_ns += 100_000_000
            for camera, image in images.items():
                data = cv2.imencode('.png', image if image.ndim == 2 else image[..., ::-1])[1]
                message = CompressedImage(header=header(robot.stamp_ns, f'{camera}_optical'), format='png')
                message.data.frombytes(data.tobytes())
                publishers[camera].publish(message)

        visible, thermal = scene()
        send(visible=visible, thermal=thermal)
        robot.wait(lambda: robot.images and robot.depths, 'fused image and depth')
        expected = Pipeline.load('onnxruntime', threads=2)(visible, thermal).fused
        assert np.abs(image_from_message(robot.images[-1]).astype(int) - expected).max() <= 1
        robot.wait(lambda: 'no visible camera_info' in robot.told()['message'], 'words about camera_info')
        assert not robot.clouds
        with robot.settings(fallback_field_of_view=60.0):
            send(visible=visible, thermal=thermal)
            robot.wait(lambda: robot.clouds, 'cloud of the fallback camera')
        (x, _, z), focal = fields_of(robot.clouds[-1])[0, -1, :3], WIDTH / 2 / np.tan(np.radians(30))
        assert x / z == pytest.approx((WIDTH - 1) / 2 / focal, rel=1e-4)


def test_counts_by_compressed_depth_and_calibrations_that_were_published_before_the_node_came() -> None:
    """As a driver with latched camera_info and compressed_depth_image_transport sends them."""
    with Robot({'thermal_transport': 'compressedDepth'}, cameras=False) as robot:
        kept = [robot.other.create_publisher(CameraInfo, f'{name}/camera_info', robot.latched()) for name in CAMERAS]
        for publisher in kept:
            publisher.publish(camera_info_from_intrinsics(CAMERA, header(0, '')))
        topics = {'visible/image_raw': Image, 'thermal/image_raw/compressedDepth': CompressedImage}
        visible, thermal = (robot.other.create_publisher(kind, topic, 5) for topic, kind in topics.items())
        robot.publishers |= {end.topic_name: end for end in (visible, thermal)}
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.wait(lambda: set(robot.node.calibrations.known) == set(CAMERAS), 'calibrations')
        visible.publish(fill_image(Image(), scene()[0], header(1, 'visible_optical')))
        message = CompressedImage(header=header(1, 'thermal_optical'), format='16UC1; compressedDepth png')
        message.data.frombytes(bytes(12) + cv2.imencode('.png', scene()[1].astype(np.uint16) * 100)[1].tobytes())
        thermal.publish(message)
        robot.wait(lambda: robot.clouds, 'cloud')
        assert np.array_equal(fields_of(robot.clouds[-1])[..., 4], scene()[1] * 100.0)


def test_simulated_time_may_be_missing_and_jump_back() -> None:
    """Nothing waits for /clock: frames and diagnostics come without it, and while it runs and jumps."""
    with Robot({'use_sim_time': True}) as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        robot.fuse_good_pair()
        clock = robot.other.create_publisher(Clock, '/clock', 5)
        robot.wait(clock.get_subscription_count, 'subscription to the clock')
        for seconds in (1000, 10, 0):
            clock.publish(Clock(clock=Time(sec=seconds)))
            robot.wait(lambda s=seconds: robot.node.get_clock().now().nanoseconds == s * 10**9, 'the time')
            robot.fuse_good_pair()
            seen = int(robot.told().get('count pairs', 0))
            robot.fuse_good_pair()
            robot.wait(lambda seen=seen: int(robot.told().get('count pairs', 0)) > seen, 'diagnostics')


def test_reduced_results_come_with_the_calibration_of_their_size() -> None:
    settings = {'inference_size': WIDTH // 2, 'enlargement': 'none'}
    with Robot(settings, name='reduced') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        robot.send_info()
        robot.wait(lambda: robot.fuse_good_pair() and robot.infos and robot.clouds and robot.depths, 'outputs')
        image, depth, cloud, info = robot.images[-1], robot.depths[-1], robot.clouds[-1], robot.infos[-1]
        for message in (image, depth, cloud, info):
            assert (message.width, message.height) == (WIDTH // 2, HEIGHT // 2)
        # Pixel centres are whole numbers, so the first two columns' centre at 0.5 becomes 0.
        assert list(info.k) == pytest.approx([70.0, 0, 39.5, 0, 70.0, 31.5, 0, 0, 1])
        (x, y, z), row, column = fields_of(cloud)[50, 70, :3], 50, 70
        assert (x / z, y / z) == pytest.approx(((column - 39.5) / 70, (row - 31.5) / 70), rel=1e-4)


def test_a_mismatch_of_quality_of_service_is_said_in_words() -> None:
    topic = '/visible/image_raw'
    given = f'qos_overrides.{topic}.subscription.reliability'
    with Robot({given: 'reliable', given.replace('visible', 'visbile'): 'reliable'}, cameras=False) as robot:
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        robot.other.create_publisher(Image, topic, qos)
        with robot.stranger() as stranger:
            stranger.create_publisher(CompressedImage, '/thermal/image_raw', qos)
            stranger.create_subscription(PointCloud2, '/fusion/points', lambda _: None, robot.latched())
            wanted = (
                "parameter 'qos_overrides./visbile/image_raw.subscription.reliability' fits no topic of this node",
                f'{topic}: publisher other is best effort; '
                f'set parameter qos_overrides.{topic}.subscription.reliability to best_effort',
                '/thermal/image_raw: publisher stranger sends sensor_msgs/msg/CompressedImage',
                '/fusion/points: subscriber stranger wants the past; '
                'set parameter qos_overrides./fusion/points.publisher.durability to transient_local',
            )
            robot.wait(lambda: all(words in robot.told()['message'] for words in wanted), 'words about the mismatch')
            (result,) = robot.node.set_parameters([Parameter(given, value='best_effort')])
            assert (result.successful, 'read-only' in result.reason) == (False, True)
