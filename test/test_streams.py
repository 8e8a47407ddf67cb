"""Two streams of images become pairs, or single images while one camera is lost."""

import time

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from sensor_msgs.msg import Image

from ldfusion_ros.frames import Job, Streams
from ldfusion_ros.fusion_parameters import FusionParameters

PATIENCE = 0.1


def image(number: int) -> Image:
    message = Image()
    message.header.stamp.nanosec = number
    return message


def send(streams: Streams, number: int, *cameras: str) -> list[Job]:
    return [job for camera in cameras for job in streams.add(camera, image(number))]


@pytest.mark.parametrize('cameras', [('visible', 'thermal'), ('thermal', 'visible')])
def test_the_first_pair_after_a_pause_of_both_cameras_is_a_pair(cameras: tuple[str, str]) -> None:
    streams = Streams(FusionParameters(degraded_after=PATIENCE))
    for number in range(3):
        time.sleep(2 * PATIENCE)
        (job,) = send(streams, number, *cameras)
        assert job.visible is not None
        assert job.thermal is not None
    assert streams.new_drops() == {}


@pytest.mark.parametrize(('alive', 'lost'), [('visible', 'thermal'), ('thermal', 'visible')])
def test_one_camera_goes_on_alone_until_the_other_is_back(alive: str, lost: str) -> None:
    streams = Streams(FusionParameters(degraded_after=PATIENCE))
    send(streams, 0, alive, lost)
    jobs: list[Job] = []
    number = 0
    end = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < end:
        number += 1
        jobs += send(streams, number, alive)
        time.sleep(PATIENCE / 10)
    assert jobs
    assert all(getattr(job, lost) is None and getattr(job, alive) is not None for job in jobs)
    send(streams, number + 1, lost)
    (job,) = send(streams, number + 2, lost, alive)
    assert job.visible is not None
    assert job.thermal is not None
