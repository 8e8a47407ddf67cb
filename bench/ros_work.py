"""Measures the work around the engine for a frame: ``python -m bench.ros_work`` prints JSON.

Messages really cross the middleware: cameras, node and listener are participants of their own on this machine. The
node's own parts receive, decode, register and publish; only the networks are left out.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import GEOMETRIES, Registration
from ldfusion_models.camera.registration_file import write_registration
from ldfusion_models.engines import FrameOutput
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.rig.rig import Rig, Shot, pipeline_of
from ldfusion_models.rig.streams import Moment, Streams
from ldfusion_ros.fusion_node import FusionNode
from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, fill_image, nanoseconds
from ldfusion_ros.messages.decoding import decode
from ldfusion_ros.node.diagnostics import LATENCIES_KEPT
from ldfusion_ros.node.inputs import sensor_data
from ldfusion_ros.node.programs import prepare_process
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.outputs import OutputFrame, Outputs

WARM_UP = 20
DISTORTION = (-0.2, 0.05, 0.001, 0.0, 0.0)
BESIDE = ((1.0, 0.0, 0.0, -0.1), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
PARTS = (
    *('receive', 'synchronise', 'decode', 'register', 'engine'),
    *('fused', 'compressed', 'depth', 'confidence', 'points'),
)
DISCOVERY_SECONDS = 10.0


class NoNetworks:
    """An engine that does nothing: the visible image comes out, and the same depth each time."""

    name, library, device, precision, reason, proof = 'none', 'none', 'cpu', 'fp32', '', ''
    info = GraphInfo(text_dim=1, text_encoder='', canonical_focal=500.0, weights_id='')

    def __init__(self, depth: npt.NDArray[np.float32]) -> None:
        self._depth = depth[None]

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """As every engine; nothing is computed."""
        return FrameOutput(visible, self._depth, np.zeros_like(self._depth))


class Bench:
    """Inputs and outputs of ``fusion_node``, between two cameras and a listener."""

    def __init__(self, width: int, height: int, geometry: str) -> None:
        generator = np.random.default_rng(0)
        camera = Intrinsics.from_field_of_view(width, height, 60.0)
        self._info = camera_info_from_intrinsics(camera, Header())
        lenses = {
            'visible': Lens(camera, 'plumb_bob', DISTORTION),
            'thermal': Lens(Intrinsics.from_field_of_view(width, height, 50.0), 'plumb_bob', DISTORTION),
        }
        self._calibrations = {name: Calibration.of_lens(lens) for name, lens in lenses.items()}
        # As smooth as what cameras see and networks give: noise is slow to compress, and all of its points would fly.
        noise = generator.random((height, width, 3), np.float32)
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), width / 100), np.float32)
        smooth = (noise - noise.min()) / np.ptp(noise)
        self._images = {
            'visible': (255 * smooth).astype(np.uint8),
            'thermal': (28000 + 4000 * smooth[..., 0]).astype(np.uint16),
        }
        depth = 1 + 80 * smooth[..., 1]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / 'registration.yaml'
            beside = Registration('cameras', True, lenses['visible'], lenses['thermal'], geometry=geometry)
            write_registration(file, replace(beside, thermal_T_visible=BESIDE))
            settings = FusionParameters(registration_file=str(file))
            self._rig = Rig(pipeline_of(NoNetworks(depth), settings), settings)
        self._streams: Streams[Image | CompressedImage] = Streams(settings, time.monotonic())
        self._node = FusionNode('bench', context=_context(), parameter_overrides=[Parameter('autostart', value=False)])
        self.statistics = self._node.statistics
        self._cameras, self._listener = (Node(name, context=_context()) for name in ('cameras', 'listener'))
        self._received: list[Image] = []
        self._publishers = {}
        for name in self._images:
            self._node.create_subscription(Image, f'{name}/image_raw', self._received.append, sensor_data())
            self._publishers[name] = self._cameras.create_publisher(Image, f'{name}/image_raw', sensor_data())
        self._outputs = Outputs(self._node)
        kinds = {
            'fused/image': Image,
            'fused/camera_info': CameraInfo,
            'fused/image/compressed': CompressedImage,
            'depth/image': Image,
            'depth/camera_info': CameraInfo,
            'depth/confidence': Image,
            'points': PointCloud2,
        }
        for topic, kind in kinds.items():
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
        """Lead one pair all the way, but for the networks."""
        header = Header(frame_id='camera')
        header.stamp.sec = number
        moments: list[Moment[Image | CompressedImage]] = []
        for name, image in self._images.items():
            self._publishers[name].publish(fill_image(Image(), image, header))
            time.sleep(0.01)
            with self.statistics.timed('receive'):
                while not self._received:
                    self._executor.spin_once(timeout_sec=1.0)
            message = self._received.pop()
            with self.statistics.timed('synchronise'):
                moments += self._streams.add(name, nanoseconds(message.header.stamp), time.monotonic(), message)
        with self.statistics.timed('decode'):
            visible, thermal = decode(moments[0])
        frame = self._rig(Shot(visible, thermal, self._calibrations))
        for step, seconds in frame.seconds.items():
            self.statistics.time(step, seconds)
        self._outputs.publish(OutputFrame(header, frame, None))


def measure(width: int, height: int, frames: int, geometry: str = 'plane') -> dict[str, object]:
    """Milliseconds per frame (p50, p95) by part, and the sum of the parts; two images are received per frame.

    ``register`` is gain control of 16-bit images and registration of two distorted cameras side by side, with a plane
    or the depth map as geometry; ``engine`` is what is done around the networks, where the thermal image ends.
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


def _context() -> rclpy.Context:
    context = rclpy.Context()
    rclpy.init(context=context)
    return context


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
