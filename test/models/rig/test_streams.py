"""Two streams of images become pairs, or single images while one camera is lost."""

import pytest

from ldfusion_models.rig.settings import StreamSettings
from ldfusion_models.rig.streams import Moment, Streams

PATIENCE = 0.1
SETTINGS = StreamSettings(degraded_after=PATIENCE)


def send(streams: Streams[str], number: int, now_s: float, *cameras: str) -> list[Moment[str]]:
    return [moment for camera in cameras for moment in streams.add(camera, number, now_s, f'{camera} {number}')]


@pytest.mark.parametrize('cameras', [('visible', 'thermal'), ('thermal', 'visible')])
def test_the_first_pair_after_a_pause_of_both_cameras_is_a_pair(cameras: tuple[str, str]) -> None:
    now_s = 100.0
    streams: Streams[str] = Streams(SETTINGS, now_s)
    for number in range(3):
        now_s += 2 * PATIENCE
        (moment,) = send(streams, number, now_s, *cameras)
        assert (moment.visible, moment.thermal) == (f'visible {number}', f'thermal {number}')
        assert (moment.mode, moment.complete_s) == ('normal', now_s)
    assert streams.new_drops() == {}


@pytest.mark.parametrize(('alive', 'lost'), [('visible', 'thermal'), ('thermal', 'visible')])
def test_one_camera_goes_on_alone_until_the_other_is_back(alive: str, lost: str) -> None:
    now_s = 100.0
    streams: Streams[str] = Streams(SETTINGS, now_s)
    send(streams, 0, now_s, alive, lost)
    moments: list[list[Moment[str]]] = []
    for number in range(1, 31):
        now_s += PATIENCE / 10
        moments.append(send(streams, number, now_s, alive))
    assert not any(moments[:9]), 'the other camera may just be late'
    assert all(moments[12:]), 'one moment for each image'
    for (moment,) in filter(None, moments):
        assert moment.mode == f'{alive} only'
        assert getattr(moment, lost) is None
        assert moment.leading.startswith(alive)
    assert not [moment for late in range(1, 31) for moment in send(streams, late, now_s, lost)], 'never back in time'
    send(streams, 31, now_s, lost)
    (moment,) = send(streams, 32, now_s, lost, alive)
    assert moment.mode == 'normal'


def test_a_thermal_image_alone_is_of_a_moment_of_the_visible_clock() -> None:
    streams: Streams[str] = Streams(StreamSettings(clock_offset=0.001), 0.0)
    *_, alone = (streams.add('thermal', second * 10**9, float(second), 'a') for second in range(5))
    assert [moment.stamp_ns for moment in alone] == [4_001_000_000]


def test_the_offset_of_the_stamps_is_told_with_and_without_pairs() -> None:
    streams: Streams[str] = Streams(StreamSettings(clock_offset=0.001), 0.0)
    assert streams.offset() is None
    streams.add('visible', 10_000_000, 0.0, 'a')
    streams.add('thermal', 13_000_000, 0.0, 'b')
    streams.add('thermal', 113_000_000, 0.1, 'c')
    streams.add('visible', 110_000_000, 0.1, 'd')
    assert streams.offset() == pytest.approx(0.004)
    streams.add('visible', 5_000_000_000, 5.0, 'e')
    streams.add('thermal', 6_000_000_000, 5.0, 'f')
    assert streams.offset() == pytest.approx(1.001), 'nothing pairs any more: the last stamps tell'
