"""What other sensors measure: where it is in the image, and which of it belongs to a moment."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Matrix
from ldfusion_models.errors import InputError
from ldfusion_models.rig.measured import Gathered, MeasuredCone, MeasuredPoints, MeasuredTogether, Sweep, Sweeps
from ldfusion_models.rig.references import Corrector

WIDTH, HEIGHT = 160, 120
CAMERA = Intrinsics(WIDTH, HEIGHT, 130.0, 130.0, 79.5, 59.5)
# A sensor's x ahead is the camera's z.
AHEAD = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
FLAT = np.full((HEIGHT, WIDTH), 5.0, np.float32)


def test_points_fall_where_the_lens_throws_them() -> None:
    lens = Lens(CAMERA, 'plumb_bob', (-0.2, 0.03, 0.001, 0.0))
    points = np.array([[0.5, 0.2, 3.0], [-1.0, 0.3, 5.0], [0, 0, -2.0], [9.0, 0, 1.0], [np.nan] * 3], np.float32)
    seen = MeasuredPoints(points, 'scan').seen_in(FLAT, CAMERA, Calibration.of_lens(lens))
    pixels = lens.project(points[:2])
    order = np.argsort(seen.depth)
    assert np.allclose(np.stack([seen.columns, seen.rows], 1)[order], pixels)
    assert seen.depth[order] == pytest.approx([3.0, 5.0])


def test_points_behind_others_are_left_out() -> None:
    points = np.array([[0, 0, 8.0], [0, 0, 2.0], [1, 0, 4.0]], np.float32)
    seen = MeasuredPoints(points, 'scan').seen_in(FLAT, CAMERA, None)
    assert sorted(seen.depth) == [2.0, 4.0]


def test_points_need_a_camera() -> None:
    with pytest.raises(InputError, match='camera_info'):
        MeasuredPoints(np.ones((9, 3), np.float32), 'scan').seen_in(FLAT, None, None)


def cone(distance: float, half_angle: float = 0.15, aside: float = 0.0) -> MeasuredCone:
    matrix = AHEAD.copy()
    matrix[0, 3] = aside
    return MeasuredCone.of(distance, half_angle, 'sonar').moved(matrix)


def scene() -> Any:
    """A wall at 6 m and a post at 2 m in front of its middle."""
    depth = np.full((HEIGHT, WIDTH), 6.0, np.float32)
    depth[:, 75:84] = 2.0
    return depth


@pytest.mark.parametrize('factor', [0.5, 1.0, 1.8])
@pytest.mark.parametrize('aside', [0.0, 0.05])
def test_a_sonar_hears_the_nearest_thing_in_its_cone_and_brings_depth_to_scale(factor: float, aside: float) -> None:
    estimate = (scene() * factor).astype(np.float32)
    references = cone(2.0, aside=aside).seen_in(estimate, CAMERA, None)
    assert (np.abs(references.columns - 79) < 9).all(), 'the echo is the post, though most of the cone sees the wall'
    corrected = Corrector()(estimate, references).depth
    assert np.abs(corrected / scene() - 1).max() < 0.04


def test_a_cone_narrower_than_a_pixel_counts() -> None:
    assert Corrector()(FLAT, cone(4.0, 0.001).seen_in(FLAT, CAMERA, None)).scale == pytest.approx(0.8, rel=0.01)


def test_what_may_come_from_outside_of_the_image_is_refused() -> None:
    with pytest.raises(InputError, match='partly in view'):
        cone(2.0, 0.6).seen_in(FLAT, CAMERA, None)


@pytest.mark.parametrize('distance', [np.nan, -2.0], ids=['no echo', 'behind the camera'])
def test_a_cone_without_a_place_in_the_image_says_nothing(distance: float) -> None:
    with pytest.raises(InputError, match='0 measured points'):
        Corrector()(FLAT, cone(distance).seen_in(FLAT, CAMERA, None))


def test_sensors_that_can_not_be_used_do_not_keep_others_from_it() -> None:
    together = MeasuredTogether([cone(2.0, 0.6), cone(4.0), cone(np.nan)])
    assert Corrector()(FLAT, together.seen_in(FLAT, CAMERA, None)).scale == pytest.approx(0.8, rel=0.02)
    with pytest.raises(InputError, match='partly in view'):
        MeasuredTogether([cone(2.0, 0.6), cone(np.nan)]).seen_in(FLAT, CAMERA, None)


def sweep(frame: str, stamp_ns: int, distance: float) -> Sweep:
    message = SimpleNamespace(
        header=SimpleNamespace(frame_id=frame), field_of_view=0.2, min_range=0.1, max_range=20.0, range=distance
    )
    return Sweep('ranges/range', 'sensor_msgs/msg/Range', stamp_ns, message)


def test_of_each_sensor_the_message_nearest_in_time_is_used() -> None:
    sweeps = Sweeps()
    for frame, stamp, distance in (('left', 0, 9.0), ('left', 100, 4.0), ('right', 0, 9.0), ('right', 120, 4.0)):
        sweeps.add(sweep(frame, stamp * 1_000_000, distance))
    asked = []

    def locate(frame: str) -> Matrix:
        asked.append(frame)
        return tuple(map(tuple, AHEAD))

    gathered = sweeps.at(105_000_000, 0.1, locate)
    assert sorted(asked) == ['left', 'right'] and not gathered.problem
    assert gathered.apart_s == pytest.approx(0.015)
    assert gathered.measured is not None
    assert gathered.measured.seen_in(FLAT, CAMERA, None).depth == pytest.approx(4.0, rel=0.01)


def test_what_is_left_out_is_said_and_the_rest_is_used() -> None:
    sweeps = Sweeps()
    sweeps.add(sweep('lost', 0, 4.0))
    assert 'away, ranges_tolerance is 0.1' in sweeps.at(500_000_000, 0.1, lambda frame: None).problem

    def locate(frame: str) -> Matrix:
        if frame == 'lost':
            raise InputError('nobody knows where it is')
        return tuple(map(tuple, AHEAD))

    assert sweeps.at(0, 0.1, locate).measured is None
    sweeps.add(sweep('lost', 10**9, np.inf))
    assert sweeps.at(10**9, 0.1, locate) == Gathered(), 'nothing in sight is no problem'
    sweeps.add(sweep('known', 0, 4.0))
    sweeps.add(sweep('silent', -(10**12), 4.0))
    gathered = sweeps.at(0, 0.1, locate)
    assert gathered.measured is not None and 'nobody knows' in gathered.problem
