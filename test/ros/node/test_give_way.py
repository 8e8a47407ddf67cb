"""guidance_node's work steps aside for the fusion."""

import os
import threading

import pytest

pytest.importorskip('rclpy')

from ldfusion_ros.parts.language import give_way


@pytest.mark.skipif(not hasattr(os, 'SCHED_IDLE'), reason='idle threads are Linux')
@pytest.mark.parametrize(('niceness', 'policy'), [(0, os.SCHED_OTHER), (10, os.SCHED_OTHER), (19, os.SCHED_IDLE)])
def test_only_the_thread_that_gives_way_does(niceness: int, policy: int) -> None:
    seen: list[tuple[int, int]] = []

    def work() -> None:
        give_way(niceness)
        seen.append((os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), os.sched_getscheduler(0)))

    here = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(max(here[1], niceness), policy)]
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == here
