"""Measures the ROS work of a frame, all but the engine: ``python -m bench.ros_work`` prints JSON.

Messages really cross the middleware: cameras, node and listener are participants of their own on this machine.
"""

import argparse
import json
import sys
import time

import cv2
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from ldfusion_models.camera.images import as_grey8, as_rgb8, as_uint8
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import GEOMETRIES, Registered, Registrar, Registration, continued, faded
from ldfusion_models.camera.thermal import GainControl
from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, fill_image
from ldfusion_ros.node.diagnostics import LATENCIES_KEPT, Statistics
from ldfusion_ros.node.inputs import sensor_data
from ldfusion_ros.node.programs import prepare_process
from ldfusion_ros.parts.frames import Decoder, Job, Streams, heat_of
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.outputs import OutputFrame, Outputs

WARM_UP = 20
DISTORTION = (-0.2, 0.05, 0.001, 0.0, 0.0)
BESIDE = ((1.0, 0.0, 0.0, -0.1), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
PARTS = ('receive', 'synchronise', 'decode', 'register', 'gain', 'border', 'fused', 'depth', 'points')
DISCOVERY_SECONDS = 10.0


class Bench:
    """Inputs and outputs of ``fusion_node``, between two cameras and a listener."""

    def __init__(self, width: int, height: int, geometry: str) -> None:
        self.statistics = Statistics()
        self._parameters = FusionParameters()
        self._streams = Streams(self._parameters)
        self._decode = Decoder(GainControl())
        generator = np.random.default_rng(0)
        self._camera = Intrinsics.from_field_of_view(width, height, 60.0)
        self._images = {
            'visible': generator.integers(0, 256, (height, width, 3), np.uint8),
            'thermal': generator.integers(28000, 32000, (height, width), np.uint16),
        }
        thermal = Intrinsics.from_field_of_view(width, height, 50.0)
        self._register = Registrar(
            Registration(
                'cameras',
                undistort=True,
                visible=Lens(self._camera, 'plumb_bob', DISTORTION),
                thermal=Lens(thermal, 'plumb_bob', DISTORTION),
                thermal_T_visible=BESIDE,
                geometry=geometry,
            )
        )
        self._gain = GainControl()
        self._depth = generator.uniform(1, 80, (height, width)).astype(np.float32)
        self._node, self._cameras, self._listener = (_node(name) for name in ('bench', 'cameras', 'listener'))
        self._received: list[Image] = []
        self._publishers = {}
        for camera in self._images:
            self._node.create_subscription(Image, f'{camera}/image_raw', self._received.append, sensor_data())
            self._publishers[camera] = self._cameras.create_publisher(Image, f'{camera}/image_raw', sensor_data())
        self._outputs = Outputs(self._node, self.statistics)
        for topic, kind in (('fused/image', Image), ('depth/image', Image), ('points', PointCloud2)):
            self._listener.create_subscription(kind, f'/bench/{topic}', lambda _: None, 2)
        self._executor = SingleThreadedExecutor(context=self._node.context)
        self._executor.add_node(self._node)

    def wait_until_connected(self) -> None:
        """Wait until everybody has found everybody."""
        end = time.monotonic() + DISCOVERY_SECONDS
        while time.monotonic() < end and not (
            self._outputs.has_subscribers() and all(p.get_subscription_count() for p in self._publishers.values())
        ):
            time.sleep(0.05)
        time.sleep(0.5)

    def run_frame(self, number: int) -> None:
        """Lead one pair all the way, but for the engine."""
        header = Header(frame_id='camera')
        header.stamp.sec = number
        jobs: list[Job] = []
        for camera, image in self._images.items():
            self._publishers[camera].publish(fill_image(Image(), image, header))
            time.sleep(0.01)
            with self.statistics.timed('receive'):
                self._executor.spin_once(timeout_sec=1.0)
            with self.statistics.timed('synchronise'):
                jobs += self._streams.add(camera, self._received.pop())
        with self.statistics.timed('decode'):
            images = self._decode(jobs[0])
        with self.statistics.timed('register'):
            pair = self._register(images.visible, images.thermal, self._depth)
            heat = heat_of(pair.thermal, self._depth.shape, self._parameters, pair.coverage)
        self._prepare(pair)
        info = camera_info_from_intrinsics(self._camera, header)
        frame = OutputFrame(header, self._images['visible'], self._depth, heat, self._camera, info)
        self._outputs.publish(frame, self._parameters)

    def _prepare(self, pair: Registered) -> None:
        """What the pipeline does around the engine."""
        assert pair.coverage is not None
        colour = as_rgb8(pair.visible)
        with self.statistics.timed('gain'):
            grey = as_grey8(pair.thermal, self._gain, pair.coverage)
        with self.statistics.timed('border'):
            continued(grey, as_uint8(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)), pair.coverage)
            faded(colour, colour, pair.coverage)


def measure(width: int, height: int, frames: int, geometry: str = 'plane') -> dict[str, object]:
    """Milliseconds per frame (p50, p95) by part, and the sum of the parts; two images are received per frame.

    ``register`` is a registration of two distorted cameras side by side, with a plane or the depth map as geometry;
    ``border`` is what is done where the thermal image ends. A node without registration file does neither. ``gain`` is
    the gain control of 16-bit images.
    """
    bench = Bench(width, height, geometry)
    bench.wait_until_connected()
    for number in range(WARM_UP + frames):
        bench.run_frame(number + 1)
    latencies = bench.statistics.report().latencies
    times = {'receive': 2, 'synchronise': 2}
    parts = {part: [round(times.get(part, 1) * value, 3) for value in latencies[part]] for part in PARTS}
    total = [round(sum(part[index] for part in parts.values()), 3) for index in (0, 1)]
    return {'size': f'{width}x{height}', 'frames': frames, 'parts_ms_p50_p95': parts, 'total_ms_p50_p95': total}


def _node(name: str) -> Node:
    context = rclpy.Context()
    rclpy.init(context=context)
    return Node(name, context=context, use_global_arguments=False)


def main() -> int:
    """Print what :func:`measure` finds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--width', type=int, default=640)
    parser.add_argument('--height', type=int, default=480)
    parser.add_argument('--frames', type=int, default=LATENCIES_KEPT)
    parser.add_argument('--geometry', choices=GEOMETRIES, default='plane', help='of the registration')
    arguments = parser.parse_args()
    prepare_process()
    result = measure(arguments.width, arguments.height, arguments.frames, arguments.geometry)
    print(json.dumps(result, indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
