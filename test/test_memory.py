"""Large messages have room on their way."""

import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

LARGEST_SEGMENT = """
from ldfusion_ros.memory import enlarge_shared_memory
enlarge_shared_memory()
import rclpy
rclpy.init()
node = rclpy.create_node('large')
sizes = [0]
for line in open('/proc/self/maps'):
    if '/fastdds_' in line and not line.split()[-1].endswith(('_el', '_mutex')):
        start, end = (int(number, 16) for number in line.split()[0].split('-'))
        sizes.append(end - start)
print(max(sizes))
"""


def largest_segment(**settings: str) -> int:
    """Bytes of the shared memory into which a node of this package writes its messages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(('FASTDDS', 'FASTRTPS'))}
    command = [sys.executable, '-c', LARGEST_SEGMENT]
    done = subprocess.run(command, env=environment | settings, capture_output=True, text=True, check=True)
    assert done.stderr == '', 'nobody likes warnings'
    return int(done.stdout)


def test_shared_memory_holds_the_outputs_of_several_frames() -> None:
    """640x480: a cloud of 20 bytes per point, an image of 3, depth of 4."""
    assert largest_segment() > 3 * 640 * 480 * (20 + 3 + 4)


def test_a_persons_own_transport_settings_stay() -> None:
    assert largest_segment(FASTDDS_BUILTIN_TRANSPORTS='DEFAULT') < 1 << 20
