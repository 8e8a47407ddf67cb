"""Augmentation keeps pairs aligned, cameras true and inputs untouched."""

import cv2
import numpy as np
import pytest

from ldfusion_models.camera.lens import Intrinsics, rays
from ldfusion_models.errors import InputError
from ldfusion_training.data.augment import (
    LightConfig,
    MisalignmentConfig,
    Turn,
    change_light,
    exchange_look,
    low_frequencies,
    misalign,
    random_view,
    repaint,
)

CAMERA = Intrinsics(160, 120, 100.0, 100.0, 79.5, 59.5)


@pytest.mark.parametrize('seed', range(8))
def test_the_camera_of_a_view_sees_the_same_directions(seed: int) -> None:
    """An image that holds each pixel's viewing direction is the oracle: the view's camera must agree with it."""
    view = random_view(np.random.default_rng(seed), (160, 120), (64, 48), zoom=(0.5, 2.0))
    seen = view.of_depth(np.ascontiguousarray(rays(CAMERA)[..., 0]))
    # The nearest pixel is half a pixel of the source away at most; a mirrored view sees the mirrored world.
    expected = rays(view.of_camera(CAMERA))[..., 0] * (-1 if view.mirrored else 1)
    assert np.abs(seen - expected).max() <= 0.51 / CAMERA.fx
    assert seen.shape == (48, 64)


def test_image_and_depth_of_a_view_stay_aligned() -> None:
    ramp = np.tile(np.arange(160, dtype=np.uint8), (120, 1))
    view = random_view(np.random.default_rng(3), (160, 120), (50, 40), zoom=(0.7, 1.3))
    image = view.of_image(np.repeat(ramp[..., None], 3, axis=2))
    depth = view.of_depth(ramp.astype(np.float32))
    assert image.shape == (40, 50, 3)
    assert np.abs(image[..., 0] - depth).max() <= 1


def test_unknown_depth_does_not_spread() -> None:
    depth = np.full((60, 80), np.nan, np.float32)
    depth[::3, ::3] = 7.0
    seen = random_view(np.random.default_rng(0), (80, 60), (40, 30), zoom=(0.5, 0.9)).of_depth(depth)
    known = seen[np.isfinite(seen)]
    assert known.size
    assert (known == 7.0).all()


def test_a_view_larger_than_the_image_takes_all_of_it() -> None:
    view = random_view(np.random.default_rng(0), (40, 30), (80, 60))
    assert (view.width, view.height) == (40, 30)
    with pytest.raises(InputError, match='must be positive'):
        random_view(np.random.default_rng(0), (40, 30), (0, 60))


@pytest.mark.parametrize('shape', [(24, 32), (24, 32, 3)])
def test_light_changes_within_its_limits_and_repeats_with_the_seed(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = image.copy()
    first = change_light(np.random.default_rng(5), image)
    np.testing.assert_array_equal(first, change_light(np.random.default_rng(5), image))
    np.testing.assert_array_equal(image, before)
    assert (first != image).any()
    unchanged = change_light(np.random.default_rng(5), image, LightConfig(0.0, 0.0, 0.0, 0.0, 0.0))
    assert np.abs(unchanged.astype(int) - image).max() <= 1


def test_tint_scales_each_colour_by_itself() -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    tinted = change_light(np.random.default_rng(5), image, LightConfig(0.0, 0.0, 0.0, 0.0, 0.0, tint=0.2))
    colours = tinted.reshape(-1, 3)
    assert (colours == colours[0]).all()
    assert len(set(colours[0].tolist())) == 3
    assert np.abs(colours[0].astype(int) - 100).max() <= 20


def test_another_look_brings_light_and_colour_and_leaves_edges_where_they_are() -> None:
    generator = np.random.default_rng(0)
    image = np.full((64, 96, 3), (60, 90, 60), np.uint8)
    image[:, 48:] = (160, 190, 160)
    other = generator.integers(100, 140, (48, 80, 3)).astype(np.uint8) + np.array([80, 0, 0], np.uint8)
    changed = exchange_look(image, low_frequencies(cv2.resize(other, (96, 64)), 4), 1.0)
    assert np.abs(changed.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max() < 6
    steps = np.abs(np.diff(changed.astype(int).sum(axis=2), axis=1)).mean(axis=0)
    assert steps.argmax() == 47
    unchanged = exchange_look(image, low_frequencies(image, 4), 1.0)
    assert np.abs(unchanged.astype(int) - image).max() <= 1


@pytest.mark.parametrize('seed', range(4))
def test_what_a_turned_camera_sees_lies_where_it_was(seed: int) -> None:
    """A plane in space: depth by its equation in the turned camera's frame is the oracle."""
    turn = Turn.random(np.random.default_rng(seed), CAMERA, 6.0)
    normal, distance = np.array([0.1, 0.3, 1.0]), 8.0
    before = (distance / (rays(CAMERA) @ normal)).astype(np.float32)
    after = turn.of_depth(before)
    expected = distance / (rays(CAMERA) @ (turn.rotation @ normal))
    known = np.isfinite(after)
    assert 0.7 < known.mean() < 1.0
    # The nearest pixel is taken.
    np.testing.assert_allclose(after[known], expected[known], rtol=0.01)
    ramp = np.tile(np.arange(160, dtype=np.uint8), (120, 1))
    moved = turn.of_instances(ramp.astype(np.uint16))
    assert np.abs(turn.of_image(ramp)[known] - moved[known].astype(float)).max() <= 1


def test_repainting_changes_things_but_not_the_sky_and_keeps_what_is_painted_on_them() -> None:
    instances = np.repeat(np.arange(4, dtype=np.uint16), 8)[:, None].repeat(8, axis=1)
    image = np.random.default_rng(0).integers(100, 120, (32, 8, 3), np.uint8)
    repainted = repaint(np.random.default_rng(5), image, instances)
    np.testing.assert_array_equal(repainted[:8], image[:8])
    factors = [np.median(repainted[instances == thing] / image[instances == thing], axis=0) for thing in (1, 2, 3)]
    assert len(np.unique(np.round(factors, 3))) == 9
    for thing, factor in zip((1, 2, 3), factors, strict=True):
        np.testing.assert_allclose(repainted[instances == thing], image[instances == thing] * factor, atol=1.5)


@pytest.mark.parametrize('seed', range(5))
def test_misalignment_moves_by_no_more_than_its_limits(seed: int) -> None:
    thermal = np.zeros((101, 101), np.uint8)
    thermal[48:53, 48:53] = 255
    moved = misalign(np.random.default_rng(seed), thermal, MisalignmentConfig(shift=3.0, rotation=0.0, scale=0.0))
    rows, columns = np.indices(moved.shape)
    weight = moved / moved.sum()
    shift = np.array([(weight * columns).sum() - 50, (weight * rows).sum() - 50])
    assert np.abs(shift).max() <= 3.1
    assert np.abs(shift).max() > 0.05
