"""A visible and a thermal camera without hardware: ``python -m bench.artificial_cameras --rate 5``.

Both send a slowly moving pattern with the time of sending as stamp, as rgb8 and as 16-bit counts, with camera_info.
"""

import argparse
import sys
import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_ros.messages.conversions import camera_info_from_intrinsics, fill_image
from ldfusion_ros.node.inputs import sensor_data
from ldfusion_ros.node.programs import run

FIELD_OF_VIEW = 60.0
STEPS = 16


def _work(arguments: argparse.Namespace, stopped: threading.Event) -> None:
    node = rclpy.create_node('cameras')
    width, height = arguments.width, arguments.height
    generator = np.random.default_rng(0)
    ramp = np.linspace(20, 220, width, dtype=np.float32)[None].repeat(height, 0)
    patterns: dict[str, npt.NDArray[Any]] = {
        'visible': (ramp[..., None] + generator.uniform(0, 30, (height, width, 3))).astype(np.uint8),
        'thermal': (28000 + 10 * ramp[:, ::-1] + generator.uniform(0, 50, (height, width))).astype(np.uint16),
    }
    info = camera_info_from_intrinsics(Intrinsics.from_field_of_view(width, height, FIELD_OF_VIEW), Header())
    images = {camera: node.create_publisher(Image, f'{camera}/image_raw', sensor_data()) for camera in patterns}
    infos = {camera: node.create_publisher(CameraInfo, f'{camera}/camera_info', sensor_data()) for camera in patterns}
    frame, due_s = 0, time.monotonic()
    while not stopped.wait(max(0.0, due_s - time.monotonic())):
        # A camera that was kept from sending does not make up for it.
        due_s = max(due_s, time.monotonic() - 1 / arguments.rate) + 1 / arguments.rate
        header = Header(stamp=node.get_clock().now().to_msg())
        shift = frame % STEPS * width // STEPS
        for camera, pattern in patterns.items():
            header.frame_id = f'{camera}_optical_frame'
            images[camera].publish(fill_image(Image(), np.roll(pattern, shift, axis=1), header))
            info.header = header
            infos[camera].publish(info)
        frame += 1
    node.destroy_node()


def make_parser() -> argparse.ArgumentParser:
    """Arguments of the program."""
    parser = argparse.ArgumentParser('artificial_cameras', description=__doc__)
    parser.add_argument('--rate', type=float, default=5.0, help='pairs per second')
    parser.add_argument('--width', type=int, default=640, help='of both images, in pixels')
    parser.add_argument('--height', type=int, default=480, help='of both images, in pixels')
    return parser


def main() -> int:
    """Run the cameras until Ctrl-C."""
    return run('artificial_cameras', make_parser(), _work)


if __name__ == '__main__':
    sys.exit(main())
