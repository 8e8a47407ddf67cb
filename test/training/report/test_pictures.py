"""Pictures: colours mean depth, nearer points hide farther ones, a sheet shows every picture."""

import numpy as np

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_training.report.pictures import (
    UNKNOWN,
    DepthScale,
    Row,
    colour_depth,
    contact_sheet,
    depth_legend,
    fit_into,
    orbit,
    render_points,
    side_view,
    view_from_above,
)

CAMERA = Intrinsics(101, 101, 100.0, 100.0, 50.0, 50.0)
RED, GREEN = np.array([255, 0, 0], np.uint8), np.array([0, 255, 0], np.uint8)


def test_unknown_depth_is_grey_and_known_depth_never() -> None:
    depth = np.array([[np.nan, np.inf, 0.0, 1.0, 10.0, 100.0, 1000.0]], np.float32)
    colours = colour_depth(depth, DepthScale(1.0, 100.0))
    grey = (colours == UNKNOWN).all(axis=2)[0]
    np.testing.assert_array_equal(grey, [True, True, True, False, False, False, False])
    assert (colours[0, 5] == colours[0, 6]).all(), 'beyond the scale is its last colour'
    assert colours[0, 3, 0] > colours[0, 3, 2], 'near is warm'
    assert colours[0, 5, 2] > colours[0, 4, 2] or colours[0, 5, 0] < colours[0, 4, 0], 'far is cold'


def test_equal_ratios_of_depth_are_equal_steps() -> None:
    scale = DepthScale(1.0, 100.0)
    np.testing.assert_allclose(scale.position([1, 10, 100]), [0, 0.5, 1])
    assert scale.ticks() == [1, 2, 5, 10, 20, 50, 100]
    assert DepthScale(3.0, 4.0).ticks() == [3.0, 4.0]


def test_scale_ignores_what_is_unknown() -> None:
    depth = np.full((10, 10), np.nan, np.float32)
    assert DepthScale.covering([depth]) == DepthScale(1.0, 100.0)
    assert DepthScale.covering([]) == DepthScale(1.0, 100.0)
    depth[:5] = 4.0
    scale = DepthScale.covering([depth, np.full((5, 10), 8.0, np.float32)])
    assert (scale.near, scale.far) == (4.0, 8.0)


def test_legend_has_the_colours_of_its_depths() -> None:
    scale = DepthScale(2.0, 50.0)
    legend = depth_legend(scale, 200)
    for row in (0, 63, 199):
        depth = np.float32(scale.far * (scale.near / scale.far) ** (row / 199))
        expected = colour_depth(np.array([[depth]], np.float32), scale)[0, 0].astype(int)
        assert np.abs(legend[row, 5].astype(int) - expected).max() <= 3


def test_nearer_points_hide_farther_ones_in_any_order() -> None:
    points = np.array([[0, 0, 2], [0, 0, 5]], np.float32)
    for order in ([0, 1], [1, 0]):
        picture = render_points(points[order], np.stack([RED, GREEN])[order], np.eye(4), CAMERA, splat=1)
        np.testing.assert_array_equal(picture[50, 50], RED)


def test_points_land_where_the_pinhole_puts_them() -> None:
    points = np.array([[0.4, -0.2, 2.0], [np.nan, 0, 1], [0, 0, -1]], np.float32)
    picture = render_points(points, np.stack([RED, GREEN, GREEN]), np.eye(4), CAMERA, splat=1)
    np.testing.assert_array_equal(np.argwhere((picture == RED).all(axis=2)), [[40, 70]])
    assert not (picture == GREEN).all(axis=2).any()


def test_an_eye_above_and_to_the_right_sees_the_top_and_right_side() -> None:
    """In front of the pivot, things move left and down in the picture; the pivot stays in the middle."""
    pivot = np.array([0.0, 0.0, 10.0])
    view = orbit(pivot, 30.0, 20.0, 10.0)
    np.testing.assert_allclose(view @ [*pivot, 1], [0, 0, 10, 1], atol=1e-12)
    np.testing.assert_allclose(view[:3, :3] @ view[:3, :3].T, np.eye(3), atol=1e-12)
    eye = -view[:3, :3].T @ view[:3, 3]
    assert eye[0] > 1, 'to the right'
    assert eye[1] < -1, 'above: y is down'
    assert eye[2] < 10, 'behind the pivot'
    nearer = view @ [0, 0, 8, 1]
    assert nearer[0] < 0
    assert nearer[1] > 0


def test_side_view_of_nothing_is_empty_and_of_something_is_not() -> None:
    nothing = np.full((4, 4, 3), np.nan, np.float32)
    colours = np.full((4, 4, 3), 255, np.uint8)
    assert np.ptp(side_view(nothing, colours, 40, 30)) < 10
    wall = np.stack([*np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 4)), np.full((4, 4), 5.0)], axis=-1)
    assert (side_view(wall.astype(np.float32), colours, 40, 30) == 255).all(axis=2).sum() >= 16


def test_fitted_keeps_proportions() -> None:
    picture = fit_into(np.full((10, 40), 200, np.uint8), 80, 80)
    assert picture.shape == (80, 80, 3)
    assert (picture == 200).all(axis=2).sum() == 80 * 20


def test_sheet_shows_every_picture_and_the_legend() -> None:
    rows = [
        Row(f'frame {row}', [np.full((20, 30, 3), 10 * (3 * row + column) + 100, np.uint8) for column in range(3)])
        for row in range(2)
    ]
    sheet = contact_sheet(['a', 'b', 'c'], rows, (60, 40), depth_legend(DepthScale(1, 10), 40))
    for level in range(100, 160, 10):
        assert (sheet == level).all(axis=2).sum() >= 60 * 40, level
    assert sheet.shape[1] > 3 * 60 + 64


def test_a_map_shows_where_things_are_and_leaves_the_ceiling_out() -> None:
    """Four corners of a lying square, 4 m wide and 10 m to 14 m ahead, and a red point high above."""
    square = [(-2, 1, 10), (2, 1, 10), (-2, 1, 14), (2, 1, 14), (0, -6, 12), (np.nan, 1, 5), (0, 1, 40)]
    colours = np.full((7, 3), 255, np.uint8)
    colours[4] = (255, 0, 0)
    picture = view_from_above(np.array(square, np.float32), colours, 200, 200, 20.0)
    rows, columns = np.nonzero((picture == 255).all(axis=2))
    # 10 pixels for a metre; ahead is up.
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(99, 80), (99, 120), (59, 80), (59, 120)}
    assert not (picture == (255, 0, 0)).all(axis=2).any()
