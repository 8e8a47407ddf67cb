"""What holds for all tests."""

import os
import signal

import pytest
from paths import ROOT

# The networks here are small: threads that wait for each other take longer than one, many times so on a busy machine.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# A shell starts what runs in the background with SIGINT ignored, and programs that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Several programs over ROS 2 each, in real time.
LIVE = ('test/ros/', 'test/bench/', 'test/training/demo/')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where pytest runs in several processes (``-n``), live tests share one; the others take file by file."""
    for item in items:
        file = item.path.relative_to(ROOT).as_posix()
        item.add_marker(pytest.mark.xdist_group('live' if file.startswith(LIVE) else file))
