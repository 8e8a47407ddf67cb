"""Gain control: what an image of counts looks like in 8 bits."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldfusion_models.camera.thermal import GAIN_MODES, GainConfig, GainControl
from ldfusion_models.errors import InputError

Counts = npt.NDArray[np.uint16]


def corridor(pipe: int = 36000) -> Counts:
    """Walls between 295 and 300 K in units of 0.01 K, with panels, and a pipe over a twentieth of the image."""
    rows, columns = np.mgrid[:120, :160]
    walls = 29500 + 400 * (columns / 160) + 100 * ((columns // 20 + rows // 20) % 2)
    counts = walls + np.random.default_rng(0).normal(0, 4, walls.shape)
    counts[20:26] = pipe
    return counts.astype(np.uint16)


def grey_of_walls(mode: str, counts: Counts) -> npt.NDArray[np.uint8]:
    return GainControl(GainConfig(mode=mode, smoothing=0.0))(counts)[40:]


def test_a_hot_pipe_leaves_the_walls_visible() -> None:
    plain, plateau = (grey_of_walls(mode, corridor()) for mode in ('percentile', 'plateau'))
    assert np.ptp(plain) < 30, 'the complaint'
    assert np.ptp(plateau) > 150
    whole = GainControl(GainConfig(mode='plateau'))(corridor())
    assert whole[22, 80] > whole[40:].max(), 'the pipe stays the brightest'


def test_clahe_brings_out_what_is_faint_in_each_part() -> None:
    plain, local = (grey_of_walls(mode, corridor(30200)).astype(float) for mode in ('percentile', 'clahe'))

    def contrast(grey: npt.NDArray[np.float64]) -> float:
        """Between neighbouring panels."""
        means = grey.reshape(4, 20, 8, 20).mean(axis=(1, 3))
        return float(np.abs(np.diff(means, axis=0)).mean())

    assert contrast(local) > 1.3 * contrast(plain)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 20000), st.sampled_from(['percentile', 'plateau']))
def test_hotter_is_never_darker(seed: int, spread: int, mode: str) -> None:
    generator = np.random.default_rng(seed)
    counts = np.clip(generator.normal(30000, spread, (40, 60)), 0, 65535).astype(np.uint16)
    counts[:5, :5] = 65535
    grey = GainControl(GainConfig(mode=mode))(counts)
    assert (np.diff(grey.ravel()[np.argsort(counts.ravel())].astype(int)) >= 0).all()


def test_an_even_spread_of_temperatures_stays_a_straight_line() -> None:
    counts = (
        np.random.default_rng(2).permutation(np.linspace(20000, 30000, 240 * 320)).astype(np.uint16).reshape(240, 320)
    )
    straight, plateau = (GainControl(GainConfig(mode=mode))(counts).astype(int) for mode in ('percentile', 'plateau'))
    assert np.abs(straight - plateau).max() <= 6


@pytest.mark.parametrize('mode', ['percentile', 'plateau'])
def test_noise_of_an_empty_scene_is_not_blown_up(mode: str) -> None:
    counts = np.random.default_rng(1).normal(30000, 2, (120, 160)).astype(np.uint16)
    assert GainControl(GainConfig(mode=mode))(counts).std() < 12


@pytest.mark.parametrize('mode', GAIN_MODES)
def test_a_sudden_heat_source_does_not_make_video_pump(mode: str) -> None:
    gain = GainControl(GainConfig(mode=mode))
    before = gain(corridor(29950)).astype(float)[40:]
    after = gain(corridor(36000)).astype(float)[40:]
    for _ in range(80):
        settled = gain(corridor(36000)).astype(float)[40:]
    assert np.abs(after - before).mean() < 0.6 * max(np.abs(settled - before).mean(), 20)


@pytest.mark.parametrize('mode', GAIN_MODES)
def test_an_image_of_one_temperature_is_an_image(mode: str) -> None:
    for value in (0, 30000, 65535):
        assert np.ptp(GainControl(GainConfig(mode=mode))(np.full((40, 48), value, np.uint16))) == 0


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(InputError, match="'magic': choose one of percentile, clahe, plateau"):
        GainConfig(mode='magic')
