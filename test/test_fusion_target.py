"""The fusion's target image against a dense least-squares solution and against what it is for."""

import cv2
import numpy as np
import pytest

pytest.importorskip('scipy')

from ldfusion_training.fusion_target import (
    TargetConfig,
    forward_differences,
    fused_luminance,
    solve_screened_poisson,
)


def test_solution_is_the_least_squares_one() -> None:
    generator = np.random.default_rng(0)
    intensity, right, below = generator.random((3, 6, 5)).astype(np.float32)
    right[:, -1] = below[-1] = 0
    weight = 0.3
    rows = [np.concatenate([d.ravel() for d in forward_differences(unit)]) for unit in np.eye(30).reshape(30, 6, 5)]
    matrix = np.concatenate([np.array(rows).T, np.sqrt(weight) * np.eye(30)])
    wanted = np.concatenate([right.ravel(), below.ravel(), np.sqrt(weight) * intensity.ravel()])
    expected, *_ = np.linalg.lstsq(matrix, wanted, rcond=None)
    solution = solve_screened_poisson(intensity, right, below, weight)
    np.testing.assert_allclose(solution.ravel(), expected, atol=1e-6)


def test_equal_sources_give_themselves() -> None:
    image = cv2.GaussianBlur(np.random.default_rng(1).random((40, 50)).astype(np.float32), (0, 0), 2)
    config = TargetConfig(gain=1.0, sum_part=0.0)
    np.testing.assert_allclose(fused_luminance(image, image.copy(), config), image, atol=1e-4)


def test_each_source_keeps_the_edges_that_only_it_has() -> None:
    visible, thermal = np.full((2, 64, 64), 0.4, np.float32)
    visible[:, 16:32:2] = 0.7
    thermal[20:44, 44:54] = 0.9
    fused = fused_luminance(visible, thermal, TargetConfig())
    assert fused[:, 16:32:2].mean() - fused[:, 17:32:2].mean() > 0.25
    assert fused[24:40, 46:52].mean() - fused[24:40, 57:62].mean() > 0.35
