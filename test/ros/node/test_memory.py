"""Large messages have room on their way."""

import os
import platform
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

LARGEST_SEGMENT = """
from ldfusion_ros.node.memory import enlarge_shared_memory
enlarge_shared_memory()
import rclpy
rclpy.init()
node = rclpy.create_node('large')
sizes = [0]
for line in open('/proc/self/maps'):
    if ('/fastdds_' in line or '/fastrtps_' in line) and not line.split()[-1].endswith(('_el', '_mutex')):
        start, end = (int(number, 16) for number in line.split()[0].split('-'))
        sizes.append(end - start)
print(max(sizes))
"""

KEPT_BY_THREADS = """
import threading
from pathlib import Path
import numpy as np
from ldfusion_ros.node.memory import keep_large_buffers
keep_large_buffers()
COUNT, MEGABYTES = 12, 8
alive, one_by_one = threading.Barrier(COUNT), threading.Lock()
def own():
    return next(int(line.split()[1]) / 1024 for line in Path('/proc/self/status').open() if line.startswith('RssAnon'))
def work():
    alive.wait()
    with one_by_one:
        np.ones(MEGABYTES << 20, np.uint8).sum()
    alive.wait()
before = own()
threads = [threading.Thread(target=work) for _ in range(COUNT)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print((own() - before) / MEGABYTES)
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


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='about glibc')
def test_memory_for_large_buffers_is_kept_once_and_not_by_every_thread() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith('MALLOC_')}
    command = [sys.executable, '-c', KEPT_BY_THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3, 'buffers of 8 MB, after 12 threads had one each, one after the other'
