"""Points from the bytes of clouds and from scans."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ldfusion_models.camera.ranges import cone_of_range, points_of_cloud, points_of_scan
from ldfusion_models.errors import InputError

POINTS = np.array([[1, 2, 3], [4, 5, 6], [np.nan, 0, 1], [-7, 8, 9]], np.float64)


@dataclass
class Cloud:
    """Two rows of two points with something before and behind each, and padding at the rows' ends."""

    kind: str = '<f4'
    width: int = 2
    height: int = 2
    padding: int = 5
    names: str = 'xyz'
    data: Any = None
    point_step: int = field(init=False)
    row_step: int = field(init=False)
    fields: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        size = np.dtype(self.kind).itemsize
        self.point_step = 4 + 3 * size + 2
        self.row_step = self.width * self.point_step + self.padding
        code = 7 if size == 4 else 8
        self.fields = [
            SimpleNamespace(name=name, offset=4 + index * size, datatype=code, count=1)
            for index, name in enumerate(self.names)
        ]
        if self.data is None:
            point = (b'head' + row.astype(self.kind).tobytes() + b'ta' for row in POINTS)
            first, second, third, fourth = point
            end = b'\0' * self.padding
            self.data = first + second + end + third + fourth + end

    @property
    def is_bigendian(self) -> bool:
        return self.kind[0] == '>'


@pytest.mark.parametrize('kind', ['<f4', '>f4', '<f8', '>f8'])
def test_points_are_read_whatever_the_layout(kind: str) -> None:
    assert np.array_equal(points_of_cloud(Cloud(kind)), POINTS.astype(np.float32), equal_nan=True)


def test_clouds_that_promise_what_they_do_not_hold_are_refused() -> None:
    with pytest.raises(InputError, match='do not fit'):
        points_of_cloud(Cloud(data=b'\0' * 20))
    with pytest.raises(InputError, match='x, y and z'):
        points_of_cloud(Cloud(names='xyw'))
    several = Cloud()
    several.fields[0].count = 2
    with pytest.raises(InputError, match='one value each'):
        points_of_cloud(several)
    short = Cloud()
    short.point_step, short.row_step = 8, 16
    with pytest.raises(InputError, match='8 bytes'):
        points_of_cloud(short)


def test_an_empty_cloud_has_no_points() -> None:
    assert points_of_cloud(Cloud(width=0, height=0, data=b'')).shape == (0, 3)


def scan(**changes: Any) -> Any:
    values = {'angle_min': -math.pi / 2, 'angle_increment': math.pi / 4, 'range_min': 0.1, 'range_max': 10.0}
    return SimpleNamespace(**{**values, 'ranges': [2.0, math.inf, 3.0, 0.05, math.nan], **changes})


def test_rays_of_a_scan_go_round_from_x_to_y() -> None:
    points = points_of_scan(scan())
    assert points[0] == pytest.approx([0, -2, 0], abs=1e-6)
    assert points[2] == pytest.approx([3, 0, 0], abs=1e-6)
    assert np.isnan(points[[1, 3, 4]]).all()


def test_a_scan_without_angles_is_refused() -> None:
    with pytest.raises(InputError, match='angles'):
        points_of_scan(scan(angle_min=math.nan))


def sonar(**changes: float) -> Any:
    return SimpleNamespace(**{'field_of_view': 0.5, 'min_range': 0.2, 'max_range': 4.0, 'range': 1.5, **changes})


def test_a_range_is_a_distance_and_half_a_cone() -> None:
    assert cone_of_range(sonar()) == (1.5, 0.25)


@pytest.mark.parametrize('value', [math.inf, -math.inf, math.nan, 0.1, 4.1])
def test_ranges_without_a_measurement_have_no_distance(value: float) -> None:
    assert math.isnan(cone_of_range(sonar(range=value))[0])


def test_rangers_that_only_tell_whether_there_is_something_have_no_distance() -> None:
    assert math.isnan(cone_of_range(sonar(range=-math.inf, min_range=1.0, max_range=1.0))[0])


@pytest.mark.parametrize('angle', [math.nan, -0.1, 4.0])
def test_a_range_without_a_cone_is_refused(angle: float) -> None:
    with pytest.raises(InputError, match='field_of_view'):
        cone_of_range(sonar(field_of_view=angle))
