"""The depth-driven loss: eq. 1 in NumPy, finite differences, truth and pseudo truth."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')

from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import write_image  # noqa: E402
from ldfusion_models.networks.depth import DepthConfig, DepthNetwork  # noqa: E402
from ldfusion_models.networks.fusion import luminance  # noqa: E402
from ldfusion_training.stages.depth_supervision import (  # noqa: E402
    DepthSupervision,
    DepthSupervisionConfig,
    create_supervision,
)
from ldfusion_training.stages.pairs_in_memory import CANONICAL_FOCAL, PairDataConfig, PairSampler  # noqa: E402

SMALL = DepthConfig(widths=(8, 8, 8, 8, 8), bins=8)


def supervision(**settings: float) -> DepthSupervision:
    torch.manual_seed(0)
    thermal = DepthNetwork(dataclasses.replace(SMALL, image_channels=1))
    return DepthSupervision(DepthNetwork(SMALL), thermal, DepthSupervisionConfig(**settings))


def random_truth(*shape: int) -> torch.Tensor:
    truth = torch.rand(*shape, dtype=torch.float64) * 20 + 1
    truth[torch.rand(*shape) < 0.4] = torch.nan
    return truth


@pytest.mark.parametrize('variance_weight', [1.0, 0.85])
def test_the_loss_is_eq_1_for_both_branches(variance_weight: float) -> None:
    judge = supervision(variance_weight=variance_weight)
    fused, truth = torch.rand(2, 3, 72, 80), random_truth(2, 1, 72, 80).float()
    expected = 0.0
    with torch.no_grad():
        for network, image in ((judge.visible, fused), (judge.thermal, luminance(fused))):
            estimate = network(image).log_depth.numpy()
            for log_depth, known in zip(estimate, truth.numpy(), strict=True):
                valid = np.isfinite(known)
                error = (log_depth[valid] - np.log(known[valid])).astype(np.float64)
                expected += (np.mean(error**2) - variance_weight * np.mean(error) ** 2) / 2
    assert float(judge(fused, truth)) == pytest.approx(expected, rel=1e-4)


def test_gradients_with_regard_to_the_fused_image_are_those_of_finite_differences() -> None:
    judge = supervision().double()
    fused = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    truth = random_truth(1, 1, 64, 64)
    judge(fused, truth).backward()
    assert fused.grad is not None
    step = 1e-6
    for seed in range(3):
        direction = torch.randn(fused.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        with torch.no_grad():
            change = judge(fused + step * direction, truth) - judge(fused - step * direction, truth)
        slope = float((fused.grad * direction).sum())
        assert slope == pytest.approx(float(change) / (2 * step), rel=1e-3)


def test_the_branches_never_change() -> None:
    judge = supervision()
    before = {name: tensor.clone() for name, tensor in judge.state_dict().items()}
    judge.train()
    fused = torch.rand(1, 3, 64, 64, requires_grad=True)
    judge(fused, torch.full((1, 1, 64, 64), 4.0)).backward()
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    for name, tensor in judge.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_pseudo_truth_is_the_combined_depth_where_both_branches_agree() -> None:
    judge = supervision(agreement=0.02)
    visible, thermal = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        first, second = judge.visible(visible), judge.thermal(thermal)
    # Untrained branches differ by a constant, mostly: bring the second to the first's mean.
    judge.config = dataclasses.replace(
        judge.config, agreement=float((first.log_depth - second.log_depth).abs().median())
    )
    pseudo = judge.pseudo_truth(visible, thermal).numpy()
    a, b = first.log_depth.numpy(), second.log_depth.numpy()
    wa, wb = 1 / (first.variance.numpy() + 1e-4), 1 / (second.variance.numpy() + 1e-4)
    agree = np.abs(a - b) <= judge.config.agreement
    assert 0.3 < agree.mean() < 0.7
    np.testing.assert_array_equal(np.isfinite(pseudo), agree)
    np.testing.assert_allclose(pseudo[agree], np.exp((wa * a + wb * b) / (wa + wb))[agree], rtol=1e-5)


def test_known_truth_stays_and_only_the_rest_is_completed() -> None:
    judge = supervision(agreement=10.0)
    visible, thermal = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    truth = torch.full((2, 1, 64, 64), torch.nan)
    truth[0, 0, :5] = 7.0
    completed = judge.complete(truth, visible, thermal)
    torch.testing.assert_close(completed[0], truth[0], equal_nan=True)
    assert torch.isfinite(completed[1]).all()


def test_released_branches_and_folders_load_and_others_are_named(tmp_path: Path) -> None:
    judge = create_supervision(DepthSupervisionConfig())
    assert float(judge(torch.rand(1, 3, 64, 64), torch.full((1, 1, 64, 64), 5.0))) > 0
    with pytest.raises(InputError, match='absent'):
        create_supervision(DepthSupervisionConfig(estimator=str(tmp_path / 'absent')))


def write_plane(folder: Path, metres: float, focal: float) -> None:
    """A simulated frame of a wall: 96x80 pixels, aligned cameras."""
    camera = {'width': 96, 'height': 80, 'fx': focal, 'fy': focal, 'cx': 47.5, 'cy': 39.5}
    scene = folder / 'scene_00000'
    content = {
        'kind': 'street',
        'light': 'night',
        'weather': 'clear',
        'cameras': {'visible': camera, 'thermal': camera},
        'distortion': [0.0] * 5,
        'thermal_T_visible': np.eye(4).tolist(),
        'frames': [{'stamp_ns': 0, 'world_T_visible': np.eye(4).tolist()}],
    }
    write_image(scene / 'visible/000000.png', np.full((80, 96, 3), 90, np.uint8))
    write_image(scene / 'thermal/000000.png', np.full((80, 96), 120, np.uint8))
    (scene / 'depth').mkdir()
    np.save(scene / 'depth/000000.npy', np.full((80, 96), metres, np.float32))
    (scene / 'scene.json').write_text(json.dumps(content))
    (folder / 'dataset.yaml').write_text(yaml.safe_dump({'format': 'ldfusion-simulation', 'version': 1}))


def test_pairs_bring_canonical_depth_if_they_are_simulated(tmp_path: Path) -> None:
    write_plane(tmp_path / 'simulated', 6.0, 250.0)
    write_image(tmp_path / 'real/visible/a.png', np.full((80, 96, 3), 90, np.uint8))
    write_image(tmp_path / 'real/thermal/a.png', np.full((80, 96), 90, np.uint8))
    for zoom in (1.0, 2.0):
        config = PairDataConfig((str(tmp_path / 'simulated'),), crop=64, zoom=(zoom, zoom))
        sample = PairSampler(config, with_depth=True)(np.random.default_rng(0))
        np.testing.assert_allclose(
            sample['depth'], np.full((1, 64, 64), 6.0 * CANONICAL_FOCAL / (250.0 * zoom)), rtol=1e-6
        )
    real = PairDataConfig((str(tmp_path / 'real'),), crop=64, zoom=(1.0, 1.0))
    assert np.isnan(PairSampler(real, with_depth=True)(np.random.default_rng(0))['depth']).all()
    assert 'depth' not in PairSampler(real)(np.random.default_rng(0))


def test_held_out_pairs_are_not_drawn(tmp_path: Path) -> None:
    for number in range(7):
        for kind, shape in (('visible', (48, 48, 3)), ('thermal', (48, 48))):
            write_image(tmp_path / f'{kind}/{number}.png', np.full(shape, number, np.uint8))
    config = PairDataConfig((str(tmp_path),), held_out=3, crop=48)
    levels = [int(known.pair.thermal[0, 0]) for known in PairSampler(config).pairs]
    assert levels == [1, 2, 4, 5]


def test_unreadable_images_of_simulated_pairs_are_refused_or_skipped(tmp_path: Path) -> None:
    write_plane(tmp_path, 6.0, 250.0)
    shutil.copytree(tmp_path / 'scene_00000', tmp_path / 'scene_00001')
    (tmp_path / 'scene_00001/thermal/000000.png').write_bytes(b'no image')
    config = PairDataConfig((str(tmp_path),), crop=64, faults='skip')
    assert len(PairSampler(config).pairs) == 1
    with pytest.raises(InputError, match='scene_00001'):
        PairSampler(dataclasses.replace(config, faults='refuse'))


def test_the_fusion_learns_from_the_depth_term(tmp_path: Path) -> None:
    """With nothing but the depth-driven loss, gradients reach the fusion network, and a weight of 0 leaves it out."""
    pytest.importorskip('scipy')
    from ldfusion_models.mappings import from_mapping
    from ldfusion_training.stages import fusion

    write_plane(tmp_path / 'simulated', 6.0, 250.0)
    settings = {
        'denoiser_checkpoint': '',
        'data': {'folders': [str(tmp_path / 'simulated')], 'crop': 64, 'zoom': [1.0, 1.0]},
        'denoiser': {'widths': [8, 8, 8, 8], 'embedding': 16},
        'fusion': {'feature_widths': [8, 8, 8], 'widths': [8, 8, 8]},
        'loss': {'intensity': 0.0, 'gradient': 0.0, 'out_of_range': 0.0, 'depth': 2.0},
    }
    stage = fusion.create(from_mapping(fusion.CONFIG, settings, 'test'))
    stage.train()
    sample = {name: torch.from_numpy(array)[None] for name, array in stage.sample(np.random.default_rng(0)).items()}
    losses = stage(sample)
    assert set(losses) == {'loss', 'depth'}
    assert float(losses['loss']) == pytest.approx(2 * float(losses['depth']))
    losses['loss'].backward()
    trained = [parameter for parameter in stage.networks.fusion.parameters() if parameter.grad is not None]
    assert any(parameter.grad.abs().max() > 0 for parameter in trained)
    assert all(parameter.grad is None for parameter in stage.judge.parameters())
    settings['loss'] = {**settings['loss'], 'depth': 0.0, 'intensity': 1.0}
    without = fusion.create(from_mapping(fusion.CONFIG, settings, 'test'))
    assert without.judge is None
    assert 'depth' not in without.sample(np.random.default_rng(0))
