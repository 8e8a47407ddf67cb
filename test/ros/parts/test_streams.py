"""Two streams of images become pairs, or single images while one camera is lost."""

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from sensor_msgs.msg import Image

from ldfusion_ros.parts import frames
from ldfusion_ros.parts.frames import Job, Streams
from ldfusion_ros.parts.fusion_parameters import FusionParameters

PATIENCE = 0.1


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(frames, 'time', clock)
    return clock


def image(number: int) -> Image:
    message = Image()
    message.header.stamp.nanosec = number
    return message


def send(streams: Streams, number: int, *cameras: str) -> list[Job]:
    return [job for camera in cameras for job in streams.add(camera, image(number))]


@pytest.mark.parametrize('cameras', [('visible', 'thermal'), ('thermal', 'visible')])
def test_the_first_pair_after_a_pause_of_both_cameras_is_a_pair(clock: Clock, cameras: tuple[str, str]) -> None:
    streams = Streams(FusionParameters(degraded_after=PATIENCE))
    for number in range(3):
        clock.now += 2 * PATIENCE
        (job,) = send(streams, number, *cameras)
        assert job.visible is not None
        assert job.thermal is not None
    assert streams.new_drops() == {}


@pytest.mark.parametrize(('alive', 'lost'), [('visible', 'thermal'), ('thermal', 'visible')])
def test_one_camera_goes_on_alone_until_the_other_is_back(clock: Clock, alive: str, lost: str) -> None:
    streams = Streams(FusionParameters(degraded_after=PATIENCE))
    send(streams, 0, alive, lost)
    jobs: list[list[Job]] = []
    for number in range(1, 31):
        clock.now += PATIENCE / 10
        jobs.append(send(streams, number, alive))
    assert not any(jobs[:9]), 'the other camera may just be late'
    assert all(jobs[12:]), 'one job for each image'
    for (job,) in filter(None, jobs):
        assert getattr(job, lost) is None
        assert getattr(job, alive) is not None
    send(streams, 31, lost)
    (job,) = send(streams, 32, lost, alive)
    assert job.visible is not None
    assert job.thermal is not None
