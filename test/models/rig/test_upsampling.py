"""Depth of reduced images at full size: against simulated truth, against planes, and as `fuse` writes it."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ldfusion_models.files import read_image, write_image
from ldfusion_models.rig.upsampling import enlarge_guided, enlarge_nearest

Depth = npt.NDArray[np.float32]
FACTOR = 3


def scenes() -> list[tuple[npt.NDArray[np.uint8], Depth]]:
    """Visible images (180, 240, 3) of simulated scenes with their exact depth."""
    pytest.importorskip('embreex', reason='simulation needs embreex')
    from ldfusion_training.simulation import SimulationConfig, simulate_scene

    settings = SimulationConfig(
        seed=5, scenes=3, frames=1, width=240, height=180, lights=('day',), weathers=('clear',), kinds=('street',)
    )
    frames = [next(iter(simulate_scene(settings, index))) for index in range(settings.scenes)]
    return [(frame.visible, np.where(np.isfinite(frame.depth), frame.depth, 150.0)) for frame in frames]


def around(values: Depth, radius: int) -> Depth:
    """(H, W, n): all values in the square around each pixel."""
    padded = np.pad(values, radius, mode='edge')
    size = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size)).reshape(*values.shape, -1)


def test_guided_depth_beats_the_nearest_value_at_edges_and_on_surfaces_and_flies_nowhere() -> None:
    errors: dict[str, list[Depth]] = {'guided': [], 'nearest': [], 'bilinear': []}
    flying, edges = [], []
    for visible, truth in scenes():
        height, width = truth.shape
        reduced = cv2.resize(visible, (width // FACTOR, height // FACTOR), interpolation=cv2.INTER_AREA)
        # What a perfect network would say of the reduced image: depth at the centres of its pixels.
        small = np.ascontiguousarray(truth[FACTOR // 2 :: FACTOR, FACTOR // 2 :: FACTOR], np.float32)
        large = {
            'guided': enlarge_guided(small, reduced, visible),
            'nearest': enlarge_nearest(small, (width, height)),
            'bilinear': cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR),
        }
        near, far = around(truth, 2).min(axis=2), around(truth, 2).max(axis=2)
        edges.append(far > 1.05 * near)
        for name, depth in large.items():
            errors[name].append(np.abs(np.log(depth / truth)))
        # A point in mid-air: where all around is either nearer or farther.
        flying.append(
            [(np.abs(np.log(around(truth, 4) / d[..., None])).min(axis=2) > 0.05).sum() for d in large.values()]
        )
    at_edges = np.stack(edges)
    edge, surface = (
        {name: float(np.stack(values)[where].mean()) for name, values in errors.items()}
        for where in (at_edges, ~at_edges)
    )
    assert edge['guided'] < 0.85 * edge['nearest']
    assert edge['guided'] < 0.85 * edge['bilinear']
    assert surface['guided'] < 0.6 * surface['nearest']
    guided, nearest, bilinear = np.sum(flying, axis=0)
    assert guided <= nearest
    assert bilinear > 100, 'the scenes have edges over which a mean would fly'


def test_a_slanted_plane_stays_a_plane() -> None:
    """1 / depth of a plane is linear over the image, whatever the slant; closed form but for the clamped border."""
    y, x = np.mgrid[:96, :128].astype(np.float32)
    truth = 1.0 / (0.01 + 0.002 * y + 0.0005 * x)
    small = 1.0 / (0.01 + 0.002 * (y[:48, :64] * 2 + 0.5) + 0.0005 * (x[:48, :64] * 2 + 0.5))
    grey = np.full((96, 128, 3), 90, np.uint8)
    large = enlarge_guided(small, grey[:48, :64], grey)
    np.testing.assert_allclose(large[1:-1, 1:-1], truth[1:-1, 1:-1], rtol=1e-4)


def test_an_edge_comes_where_the_guide_has_it_with_both_depths_unchanged() -> None:
    """Reduced by four, a pole between two pixel centres: only the guide knows where it ends."""
    guide = np.full((64, 64, 3), 40, np.uint8)
    guide[:, 23:41] = 200
    reduced = cv2.resize(guide, (16, 16), interpolation=cv2.INTER_AREA)
    small = np.full((16, 16), 20.0, np.float32)
    small[:, 6:10] = 3.0
    large = enlarge_guided(small, reduced, guide)
    assert set(np.unique(large)) <= {np.float32(3.0), np.float32(20.0)}
    off = (large == 3.0) != (guide[..., 0] == 200)
    nearest_off = (enlarge_nearest(small, (64, 64)) == 3.0) != (guide[..., 0] == 200)
    assert off.sum() == 0
    assert nearest_off.sum() == 64 * 2


@pytest.mark.parametrize(('enlargement', 'size'), [('guided', (96, 128)), ('nearest', (96, 128)), ('none', (48, 64))])
def test_fuse_writes_results_of_the_size_asked_for(enlargement: str, size: tuple[int, int], tmp_path: Path) -> None:
    from ldfusion_training.cli import main

    generator = np.random.default_rng(0)
    for name, channels in (('visible', 3), ('thermal', 1)):
        small = generator.integers(0, 256, (12, 16, channels), np.uint8)
        write_image(tmp_path / f'{name}.png', cv2.resize(small, (128, 96)))
    words = f'fuse --visible {tmp_path}/visible.png --thermal {tmp_path}/thermal.png --output {tmp_path}/out'
    assert main([*words.split(), '--inference-size', '64', '--enlargement', enlargement]) == 0
    assert read_image(tmp_path / 'out/fused/visible.png').shape == (*size, 3)
    assert read_image(tmp_path / 'out/depth/visible.png').shape == size


def test_fuse_refuses_a_size_too_small_for_the_networks(capsys: pytest.CaptureFixture[str]) -> None:
    from ldfusion_training.cli import main

    assert main(['fuse', '--visible', 'a', '--thermal', 'b', '--output', 'c', '--inference-size', '31']) == 2
    assert '31' in capsys.readouterr().err
