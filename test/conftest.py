"""What holds for all tests."""

import os
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest
from paths import ROOT

# The networks here are small: threads that wait for each other take longer than one, many times so on a busy machine.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# A shell starts what runs in the background with SIGINT ignored, and programs that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Several programs over ROS 2 each, in real time.
LIVE = ('test/ros/', 'test/bench/', 'test/training/demo/')
# What takes longest begins early, so that no process of pytest has it left when the others are done.
LONG = (
    'test/training/test_weights_chain.py',
    'test/training/stages/test_training.py',
    'test/training/bag_evaluation/test_evaluate_bag.py',
    'test/package/test_install.py',
    'test/models/engines/test_tensorrt_rtx.py',
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Live files first, for they wait much, and the long ones between (``--no-loadscope-reorder`` keeps to it)."""
    first = [file for file in dict.fromkeys(map(file_of, items)) if file.startswith(LIVE)]
    for number, file in enumerate(LONG):
        first.insert(3 * number, file)
    rank = {file: number for number, file in enumerate(first)}
    items.sort(key=lambda item: rank.get(file_of(item), len(rank)))


def file_of(node: pytest.Item | pytest.Module) -> str:
    """Where a test or a file of tests is, from the checkout."""
    return node.path.relative_to(ROOT).as_posix()


@pytest.fixture(autouse=True, scope='module')
def processors(request: pytest.FixtureRequest) -> Iterator[None]:
    """All processors for live tests; one for another file where pytest runs in several processes: the idlest of late.

    Threads of ONNX Runtime and PyTorch whose processor is taken wait for each other, for many times the work.
    """
    whole, busy = os.sched_getaffinity(0), psutil.cpu_percent(percpu=True)
    if 'PYTEST_XDIST_WORKER' in os.environ and not file_of(request.node).startswith(LIVE):
        os.sched_setaffinity(0, {min(whole, key=busy.__getitem__)})
    yield
    os.sched_setaffinity(0, whole)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """A test may have changed PyTorch's."""
    yield
    if torch := sys.modules.get('torch'):
        torch.set_num_threads(1)
