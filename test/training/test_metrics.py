"""Fusion metrics against closed forms and the toolbox's definitions on made images, and against published outputs."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import toolbox
from paths import DATA
from toolbox import convolve2d

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.metrics import (
    chroma_error,
    edge_preservation,
    evaluate_fusion,
    fusion_artefacts,
    mean_metrics,
    quick_measures,
    structural_similarity,
    to_grey,
    visual_information_fidelity,
)

PEERS = DATA / 'tno' / 'val'


def texture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A repeatable image of integers without any library's random generator."""
    rows, columns = np.indices((height, width))
    return ((rows * (7 + seed) + columns * (13 + 3 * seed) + rows * columns * (1 + seed)) % 200 + 20).astype(np.uint8)


def entropy(image: np.ndarray) -> float:
    return quick_measures(image, image, image)['en']


def mutual_information(first: np.ndarray, second: np.ndarray) -> float:
    return quick_measures(first, first, second)['mi'] / 2


def test_entropy_of_known_distributions() -> None:
    assert entropy(np.full((50, 50), 9, np.uint8)) == 0
    assert entropy(np.tile(np.array([0, 80, 160, 255], np.uint8), (50, 20))) == pytest.approx(2.0)
    assert entropy(np.tile(np.array([5, 5, 5, 90], np.uint8), (50, 20))) == pytest.approx(0.811278, abs=1e-6)
    assert entropy(np.tile(np.arange(256, dtype=np.uint8).reshape(16, 16), (3, 3))) == pytest.approx(8.0)


def test_mutual_information_of_equal_renamed_and_independent_images() -> None:
    image = np.tile(np.array([0, 80, 160, 255], np.uint8), (42, 20))
    assert mutual_information(image, image) == pytest.approx(2.0)
    assert mutual_information(image, 255 - image) == pytest.approx(2.0)
    rows = np.repeat(np.array([1, 2], np.uint8), 21)[:, None] * np.ones((1, 80), np.uint8)
    assert mutual_information(image, rows) == pytest.approx(0.0, abs=1e-12)
    # The toolbox would take 254 and 255 for one level here.
    levels = [np.tile(np.array(values, np.uint8), (42, 21)) for values in ([254, 255], [0, 1])]
    assert mutual_information(*levels) == pytest.approx(1.0)


def test_measures_of_a_ramp() -> None:
    ramp = np.tile(np.arange(0, 192, 3, dtype=np.uint8), (48, 1))
    metrics = evaluate_fusion(texture(1), texture(2), ramp)
    assert metrics.sf == pytest.approx(3.0)
    assert metrics.ag == pytest.approx(3.0 / np.sqrt(2) * (48 * 64) / (47 * 63))
    assert metrics.sd == pytest.approx(3.0 * np.sqrt((64**2 - 1) / 12))
    assert metrics.en == pytest.approx(6.0)
    assert metrics.two_en == pytest.approx(12.0)


def test_a_fused_image_equal_to_both_sources() -> None:
    image = texture(1)
    metrics = evaluate_fusion(image, image, image)
    assert metrics.vif == pytest.approx(2.0, abs=1e-6)
    assert metrics.ssim == pytest.approx(1.0)
    assert metrics.cc == pytest.approx(1.0)
    assert metrics.nabf == 0.0
    assert metrics.mi == pytest.approx(2 * metrics.en)
    assert metrics.qabf == pytest.approx(0.9994 * 0.9879 / (1 + np.exp(-22 * 0.2)), rel=1e-6)
    assert np.isnan(metrics.scd)  # a difference of nothing correlates with nothing


def test_sum_of_unrelated_sources_has_full_scd() -> None:
    rows, columns = np.indices((64, 64))
    thermal, visible = (rows % 8 * 10).astype(np.uint8), (columns % 8 * 10).astype(np.uint8)
    metrics = evaluate_fusion(visible, thermal, visible + thermal)
    assert metrics.scd == pytest.approx(2.0)
    assert metrics.cc == pytest.approx(1 / np.sqrt(2))
    assert evaluate_fusion(visible, thermal, thermal).cc == pytest.approx(0.5)


def test_constant_images_have_no_correlation_and_no_edges() -> None:
    flat = np.full((48, 64), 100, np.uint8)
    metrics = evaluate_fusion(flat, flat, flat)
    assert (metrics.en, metrics.sf, metrics.sd, metrics.ag) == (0, 0, 0, 0)
    assert np.isnan(metrics.cc)
    assert np.isnan(metrics.vif)


def test_vif_of_a_gain_follows_the_variances_of_four_scales() -> None:
    reference = texture(3).astype(np.float64)
    kept = available = 0.0
    level = reference
    for size in (17, 9, 5, 3):
        line = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 5)) ** 2)
        window = np.outer(line, line) / line.sum() ** 2
        if size < 17:
            level = convolve2d(level, window, 'valid')[::2, ::2]
        variance = convolve2d(level**2, window, 'valid') - convolve2d(level, window, 'valid') ** 2
        kept += np.log(1 + 0.25 * variance / 2).sum()
        available += np.log(1 + variance / 2).sum()
    assert visual_information_fidelity(reference, 0.5 * reference) == pytest.approx(kept / available, rel=1e-6)
    assert visual_information_fidelity(reference, 255 - reference) == pytest.approx(0.0, abs=1e-9)


def test_qabf_counts_each_source_by_its_edges() -> None:
    """One source has a vertical bar, the other is flat; a fused image without the bar keeps nothing."""
    bar = np.zeros((48, 64))
    bar[8:-8, 30:34] = 200
    flat = np.zeros((48, 64))
    kept = edge_preservation(bar, flat, bar)
    assert kept == pytest.approx(0.9994 * 0.9879 / (1 + np.exp(-22 * 0.2)), rel=1e-6)
    assert edge_preservation(bar, flat, flat) < 0.001
    assert edge_preservation(bar, flat, bar.T[:48, :48].copy().repeat(2, 1)[:, :64]) < 0.2
    assert np.isnan(edge_preservation(flat, flat, flat))


def test_nabf_is_the_share_of_pixels_with_invented_edges() -> None:
    flat = np.full((48, 64), 50.0)
    step = flat.copy()
    step[:, 32:] = 150
    assert fusion_artefacts(flat, flat, step) == pytest.approx(2 / 64, rel=1e-3)
    assert fusion_artefacts(step, flat, flat) == 0.0


def test_ssim_of_flat_images_is_the_light_term() -> None:
    value = structural_similarity(np.full((48, 64), 100.0), np.full((48, 64), 50.0))
    assert value == pytest.approx((2 * 100 * 50 + 6.5025) / (100**2 + 50**2 + 6.5025))


def test_grey_is_that_of_rgb2gray() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 30]]], np.uint8)
    np.testing.assert_array_equal(to_grey(colours), [[76, 150, 29, 255, 18]])


def test_chroma_error_looks_at_the_cold_half_only() -> None:
    visible = np.full((48, 64, 3), 128, np.uint8)
    thermal = np.zeros((48, 64), np.uint8)
    thermal[:, 40:] = 200
    fused = visible.copy()
    fused[:, 40:] = (255, 0, 0)
    assert chroma_error(visible, thermal, fused) == 0.0
    fused[:, :40] = (148, 128, 128)
    # 20 more red: Cr rises by 20 * 0.5 = 10, Cb falls by 20 * 0.1687 = 3.4, each rounded.
    assert chroma_error(visible, thermal, fused) == pytest.approx(np.hypot(10, 3), abs=0.6)


def made_scene() -> tuple[np.ndarray, np.ndarray]:
    """A visible image with stripes, a bright patch and grain, and a thermal one with warm spots; 61x83 pixels."""
    rows, columns = np.indices((61, 83))
    stripes = 90 + 50 * np.sin(columns / 3.7) + 25 * np.cos(rows / 5.1) + (rows * 7 + columns * 3) % 11
    stripes[20:40, 50:70] = 255
    warm = 40 + 190 * np.exp(-((rows - 22) ** 2 + (columns - 25) ** 2) / 60) + (rows * 5 + columns * 13) % 7
    warm += 120 * ((rows - 45) ** 2 + (columns - 60) ** 2 < 90)
    return stripes.clip(0, 255).astype(np.uint8), warm.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize('rule', ['mean', 'maximum', 'visible edges sharpened', 'another image', 'inverted'])
def test_all_measures_are_those_of_the_toolbox(rule: str) -> None:
    visible, thermal = made_scene()
    mean = visible.astype(int) // 2 + thermal // 2
    fused = {
        'mean': mean,
        'maximum': np.maximum(visible, thermal),
        'visible edges sharpened': mean + 2 * (visible.astype(int) - np.roll(visible, 1, axis=1)),
        'another image': texture(4, *visible.shape),
        'inverted': 255 - mean,
    }[rule].clip(0, 255)
    found = asdict(evaluate_fusion(visible, thermal, fused.astype(np.uint8)))
    assert found == pytest.approx(toolbox.measures(visible, thermal, fused.astype(np.uint8)), rel=1e-4, abs=1e-9)


def test_values_do_not_drift() -> None:
    """Frozen values of made images, computed when this module reproduced the toolbox's values below."""
    thermal, visible = texture(1), texture(2)
    fused = ((thermal.astype(int) * 3 + visible) // 4).astype(np.uint8)
    metrics = asdict(evaluate_fusion(visible, thermal, fused))
    frozen = {
        'en': 7.3676104,
        'mi': 6.3641936,
        'two_en': 14.735221,
        'sf': 98.046821,
        'sd': 45.307967,
        'vif': 0.34023095,
        'qabf': 0.42662931,
        'ag': 31.461315,
        'scd': 1.4210939,
        'cc': 0.62835678,
        'ssim': 0.60918259,
        'nabf': 1.7069697e-07,
    }
    assert metrics == pytest.approx(frozen, rel=1e-6)


def test_the_mean_of_images() -> None:
    rows = [evaluate_fusion(texture(1), texture(2), texture(seed)) for seed in (3, 4)]
    assert mean_metrics(rows).sf == pytest.approx((rows[0].sf + rows[1].sf) / 2)


@pytest.mark.parametrize(
    ('fused', 'reason'),
    [
        (np.zeros((48, 64, 3), np.uint8), 'grey'),
        (np.zeros((48, 64), np.uint16), '8 bits'),
        (np.zeros((50, 64), np.uint8), 'one size'),
    ],
)
def test_wrong_images_are_refused(fused: np.ndarray, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        evaluate_fusion(texture(1), texture(2), fused)
    small = np.zeros((40, 64), np.uint8)
    with pytest.raises(InputError, match='at least 41'):
        evaluate_fusion(small, small, small)


@pytest.mark.skipif(not (PEERS / 'peers.json').is_file(), reason='needs ../shared/data/tno')
def test_nine_published_methods_have_the_toolbox_values() -> None:
    for peer, images in json.loads((PEERS / 'peers.json').read_text()).items():
        for name, wanted in list(images.items())[::4]:
            thermal, visible, fused = (
                to_grey(read_image(PEERS / folder / f'{name}.png')) for folder in ('ir', 'vi', f'peers/{peer}')
            )
            found = asdict(evaluate_fusion(visible, thermal, fused))
            for title, value in wanted.items():
                assert found[title.lower()] == pytest.approx(value, rel=1e-3), f'{peer} {name} {title}'
