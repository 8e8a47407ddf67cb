"""Shifts between images of different kinds, against shifts that were made."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from views import two_views

from ldfusion_models.camera.alignment import DriftMonitor, correlation, edge_directions, peak_of, window

Grey = npt.NDArray[np.uint8]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(-9, 9), st.floats(-9, 9))
def test_a_shift_is_found_to_a_third_of_a_pixel(seed: int, x: float, y: float) -> None:
    first, second = two_views(seed, x, y)
    agreement = correlation(edge_directions(first), edge_directions(second), window(200, 150))
    shift = peak_of(agreement, 16)
    assert shift.is_certain
    assert (shift.x, shift.y) == pytest.approx((x, y), abs=0.34)


def test_inverted_contrast_changes_nothing() -> None:
    first, _ = two_views(1, 0, 0)
    agreement = correlation(edge_directions(first), edge_directions(255 - first), window(200, 150))
    shift = peak_of(agreement, 16)
    assert (shift.x, shift.y) == pytest.approx((0, 0), abs=0.01)
    assert shift.is_certain


@pytest.mark.parametrize('kind', ['nothing', 'noise', 'other places'])
def test_images_that_share_nothing_give_no_certain_shift(kind: str) -> None:
    generator = np.random.default_rng(4)
    total = np.zeros((150, 200), np.float32)
    for seed in range(10):
        first, second = two_views(seed, 0, 0)[0], two_views(seed + 1000, 0, 0)[1]
        if kind == 'nothing':
            first = second = np.full((150, 200), 90, np.uint8)
        elif kind == 'noise':
            first, second = (generator.normal(90, 4, (150, 200)).astype(np.uint8) for _ in range(2))
        total += correlation(edge_directions(first), edge_directions(second), window(200, 150))
    assert not peak_of(total, 16).is_certain


def test_the_drift_monitor_follows_a_camera_that_moves() -> None:
    """Pixels of the full image, though it works on a reduced one."""
    monitor = DriftMonitor(keep=0.5)
    for seed, (x, y) in enumerate([(0, 0)] * 4 + [(7, -3)] * 6):
        first, second = (np.asarray(cv2.resize(image, (800, 600)), np.uint8) for image in two_views(seed, x, y))
        shift = monitor(np.repeat(first[..., None], 3, axis=2), second)
        if seed == 3:
            assert shift.length < 1
    assert (shift.x, shift.y) == pytest.approx((28, -12), abs=1.5)
    assert shift.is_certain


def test_what_the_thermal_camera_does_not_see_does_not_count() -> None:
    first, second = two_views(7, 4, 2)
    coverage = np.zeros((150, 200), np.float32)
    coverage[20:130, 60:180] = 1
    filled = np.where(cv2.erode(coverage, np.ones((9, 9))) > 0, second, first).astype(np.uint8)
    shift = DriftMonitor()(np.repeat(first[..., None], 3, axis=2), filled, cv2.GaussianBlur(coverage, (0, 0), 4))
    assert (shift.x, shift.y) == pytest.approx((4, 2), abs=0.6)
