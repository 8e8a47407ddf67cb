"""The ablations' recipes: what each changes, and the table with costs that compares runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')

from safetensors.torch import load_file  # noqa: E402

from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import write_image  # noqa: E402
from ldfusion_models.graph.manifest import SHIPPED  # noqa: E402
from ldfusion_models.mappings import from_mapping  # noqa: E402
from ldfusion_models.networks.denoiser import Denoiser, DenoiserConfig  # noqa: E402
from ldfusion_models.networks.fusion import FusionConfig, FusionNetwork, luminance  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.commands.train import RECIPES, read_recipe  # noqa: E402
from ldfusion_training.evaluation.fusion_runs import cost_of_run, networks_of_run  # noqa: E402
from ldfusion_training.runs.starting_weights import RELEASED, load_weights  # noqa: E402
from ldfusion_training.runs.trainer import CHECKPOINT, read_checkpoint  # noqa: E402
from ldfusion_training.stages import STAGES, fusion, stage_module  # noqa: E402

SMALL: dict[str, Any] = {
    'trainer': {'batch_size': 2, 'warmup': 1, 'checkpoint_every': 2, 'steps': 2},
    'denoiser': {'widths': [8, 8, 8, 8], 'embedding': 16},
}
SMALL_FUSION = {'feature_widths': [8, 8, 8], 'widths': [8, 8, 8]}
FUSION_RECIPES = sorted(path for path in (RECIPES / 'ablations').glob('*.yaml') if path.stem != 'autoencoder_denoiser')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('pairs')
    generator = np.random.default_rng(0)
    for index in range(2):
        noise = generator.integers(0, 255, (6, 8, 4), dtype=np.uint8)
        enlarged = np.kron(noise, np.ones((12, 12, 1), np.uint8))
        write_image(folder / 'visible' / f'{index}.png', np.ascontiguousarray(enlarged[..., :3]))
        write_image(folder / 'thermal' / f'{index}.png', np.ascontiguousarray(enlarged[..., 3]))
    return folder


@pytest.fixture(scope='module')
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipes that differ in how features come about, cut down and run."""
    folder = tmp_path_factory.mktemp('runs')
    source = {'data': {'folders': [str(data)], 'crop': 48}}
    teach(folder, 'autoencoder_denoiser', 'diffusion', source)
    checkpoint = {'denoiser_checkpoint': str(folder / 'autoencoder_denoiser' / CHECKPOINT)}
    for name in ('autoencoder', 'noisy', 'three_timesteps'):
        teach(folder, name, 'fusion', {**source, **checkpoint})
    teach(folder, 'plain', 'fusion', source)
    return folder


def teach(folder: Path, name: str, stage: str, changes: dict[str, Any]) -> None:
    recipe = read_recipe(RECIPES / 'ablations' / f'{name}.yaml')
    recipe = {**recipe, **SMALL, **changes}
    if stage == 'fusion':
        recipe['fusion'] = {**SMALL_FUSION, **recipe.get('fusion', {})}
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump(recipe))
    assert main(['train', stage, '--config', str(path), '--output', str(folder / name)]) == 0


@pytest.mark.parametrize('weights', [RELEASED, str(SHIPPED), str(SHIPPED / 'denoiser.safetensors')])
def test_released_weights_go_by_their_name_their_folder_or_their_file(weights: str) -> None:
    network = Denoiser(DenoiserConfig())
    load_weights(network, 'denoiser', weights)
    expected = load_file(SHIPPED / 'denoiser.safetensors')
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[name].float()), name


def test_the_shipped_fusion_is_trained_further_without_its_language() -> None:
    shipped = load_file(SHIPPED / 'fusion.safetensors')
    network = FusionNetwork(FusionConfig(text_dim=12))
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_weights(network, 'fusion', RELEASED, kept=fusion.MODULATION)
    for name, tensor in network.state_dict().items():
        expected = fresh[name] if name.startswith(fusion.MODULATION) else shipped[name].float()
        assert torch.equal(tensor, expected), name


def test_of_a_run_with_several_parts_the_named_one_is_taken(runs: Path) -> None:
    network = Denoiser(DenoiserConfig(widths=(8, 8, 8, 8), embedding=16))
    load_weights(network, 'denoiser', str(runs / 'plain' / CHECKPOINT))
    average = read_checkpoint(runs / 'plain' / CHECKPOINT)['average']
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, average[f'denoiser.{name}']), name


@pytest.mark.parametrize('path', [*sorted(RECIPES.glob('*.yaml')), *FUSION_RECIPES], ids=lambda path: path.stem)
def test_every_recipe_is_complete(path: Path) -> None:
    # depth_teacher is a stage of its own, depth_visible a recipe of stage depth.
    names = ['fusion'] if path in FUSION_RECIPES else [path.stem, path.stem.partition('_')[0]]
    stage = next(name for name in names if name in STAGES)
    config = from_mapping(stage_module(stage).CONFIG, read_recipe(path), str(path))
    assert config.trainer.steps > 0


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    (tmp_path / 'base.yaml').write_text('trainer: {steps: 5, seed: 1}\nloss: {edges: 2.0}\n')
    (tmp_path / 'more.yaml').write_text('base: base.yaml\ntrainer: {steps: 7}\n')
    assert read_recipe(tmp_path / 'more.yaml') == {'trainer': {'steps': 7, 'seed': 1}, 'loss': {'edges': 2.0}}


def test_plain_network_learns_all_its_layers(runs: Path) -> None:
    average = read_checkpoint(runs / 'plain' / CHECKPOINT)['average']
    assert {name.partition('.')[0] for name in average} == {'denoiser', 'fusion'}
    frozen = read_checkpoint(runs / 'noisy' / CHECKPOINT)['average']
    assert {name.partition('.')[0] for name in frozen} == {'fusion'}


def test_three_timesteps_cost_three_passes_of_the_denoiser(runs: Path) -> None:
    assert [passes_of_denoiser(runs / name / CHECKPOINT) for name in ('noisy', 'three_timesteps')] == [1, 3]
    one, three = (cost_of_run(runs / name / CHECKPOINT) for name in ('noisy', 'three_timesteps'))
    plain = cost_of_run(runs / 'plain' / CHECKPOINT)
    assert plain == one
    assert three.gflop > one.gflop * 1.5
    assert one.parameters < three.parameters


def passes_of_denoiser(checkpoint: Path) -> int:
    """How often the denoiser's first layer runs for one frame."""
    networks, calls = networks_of_run(checkpoint), []
    first = next(module for module in networks.denoiser.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_hook(lambda *_: calls.append(1))
    networks(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))
    return len(calls)


def test_a_run_that_lacks_a_layer_is_refused(runs: Path, tmp_path: Path) -> None:
    content = torch.load(runs / 'noisy' / CHECKPOINT, weights_only=True)
    lost = next(name for name in content['average'] if name.startswith('fusion.') and name.endswith('weight'))
    del content['average'][lost]
    torch.save(content, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match=f'fusion weights of this configuration.*{lost.removeprefix("fusion.")}'):
        cost_of_run(tmp_path / CHECKPOINT)


def test_runs_are_rows_of_the_table_with_their_cost(runs: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(runs / name) for name in ('autoencoder', 'noisy', 'plain')]
    command = ['evaluate', 'fusion', '--visible', str(data / 'visible'), '--thermal', str(data / 'thermal')]
    assert main([*command, '--runs', *folders]) == 0
    text = capsys.readouterr().out
    assert 'GFLOP at 640x480' in text
    for name in ('autoencoder', 'noisy', 'plain'):
        assert text.count(f'| {name} |') == 2, text


def test_autoencoder_gives_back_what_it_sees(data: Path, tmp_path: Path) -> None:
    recipe = read_recipe(RECIPES / 'ablations' / 'autoencoder_denoiser.yaml') | SMALL
    recipe['trainer'] = {**SMALL['trainer'], 'steps': 40, 'checkpoint_every': 40, 'learning_rate': 5e-3}
    recipe['data'] = {'folders': [str(data)], 'crop': 32}
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump(recipe))
    from ldfusion_training.runs.trainer import train
    from ldfusion_training.stages import diffusion

    config = from_mapping(diffusion.CONFIG, recipe, 'test')
    losses = [report.losses['loss'] for report in train(diffusion.create(config), config.trainer, tmp_path / 'run')]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:3])


def test_training_goes_on_from_other_weights_and_names_those_that_do_not_fit(runs: Path, data: Path) -> None:
    first = runs / 'plain' / CHECKPOINT
    recipe = SMALL | {'data': {'folders': [str(data)], 'crop': 48}, 'fusion': SMALL_FUSION}
    recipe |= {'denoiser_checkpoint': '', 'train_denoiser': True}
    config = from_mapping(fusion.CONFIG, recipe | {'initial_weights': str(runs / 'noisy' / CHECKPOINT)}, 'test')
    stage = fusion.create(config)
    for name, tensor in read_checkpoint(runs / 'noisy' / CHECKPOINT)['average'].items():
        if '.modulation.' not in name:
            torch.testing.assert_close(stage.state_of_parts()[name], tensor, rtol=0, atol=0)
    damaged = runs / 'damaged.safetensors'
    damaged.write_bytes(first.read_bytes()[:1000])
    for wrong in (damaged, runs / 'autoencoder_denoiser' / CHECKPOINT):
        with pytest.raises(InputError, match=wrong.name):
            fusion.create(from_mapping(fusion.CONFIG, recipe | {'initial_weights': str(wrong)}, 'test'))


@pytest.mark.parametrize('noisy', [False, True])
def test_a_pair_is_fused_at_half_its_size_as_at_its_whole(noisy: bool, data: Path) -> None:
    """With the same features, noisy or not, and the same precision: under autocast both images are of half of it."""
    recipe = SMALL | {'data': {'folders': [str(data)], 'crop': 64, 'zoom': [1.0, 1.0]}, 'fusion': SMALL_FUSION}
    recipe |= {'denoiser_checkpoint': '', 'train_denoiser': True, 'noisy_features': noisy, 'loss': {'scale': 1.0}}
    stage = fusion.create(from_mapping(fusion.CONFIG, recipe, 'test'))
    torch.nn.init.normal_(stage.networks.fusion.decide.weight)
    batch = {name: torch.from_numpy(array)[None] for name, array in stage.sample(np.random.default_rng(1)).items()}
    assert ('noise' in batch) == noisy
    seen: list[dict[str, torch.Tensor | None]] = []

    def remember(_module: object, arguments: tuple[torch.Tensor | None, ...], fused: torch.Tensor) -> None:
        seen.append({'visible': arguments[0], 'noise': arguments[2], 'fused': fused})

    stage.networks.register_forward_hook(remember)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        term = stage(batch)['scale']
    whole, half = seen
    torch.testing.assert_close(half['visible'], torch.nn.functional.avg_pool2d(whole['visible'], 2))
    assert half['fused'].dtype == whole['fused'].dtype
    large = torch.nn.functional.avg_pool2d(luminance(whole['fused'].float()), 16)
    assert float(term) == pytest.approx(
        float((large - torch.nn.functional.avg_pool2d(luminance(half['fused'].float()), 8)).abs().mean()), rel=1e-5
    )
    assert float(term) > 1e-4
    if noisy:
        assert half['noise'].shape == (1, 4, 32, 32)
        assert float(half['noise'].std()) == pytest.approx(1.0, abs=0.1), 'as strong as at the whole size'
    else:
        assert whole['noise'] is half['noise'] is None


def test_the_fusion_learns_from_what_a_detector_finds(data: Path) -> None:
    """With nothing but that loss, gradients reach the fusion network; the detector itself stays."""
    settings = {
        **SMALL,
        'fusion': SMALL_FUSION,
        'denoiser_checkpoint': '',
        'captioner': RELEASED,
        'data': {'folders': [str(data)], 'crop': 64},
        'loss': {'intensity': 0.0, 'gradient': 0.0, 'out_of_range': 0.0, 'detection': 1.0},
    }
    stage = fusion.create(from_mapping(fusion.FusionStageConfig, settings, 'a test'))
    batch = {name: torch.from_numpy(array)[None] for name, array in stage.sample(np.random.default_rng(0)).items()}
    stage(batch)['loss'].backward()
    reached = [name for name, each in stage.named_parameters() if each.grad is not None and each.grad.abs().max() > 0]
    assert 'networks.fusion.decide.bias' in reached
    assert all(name.startswith('networks.fusion.') for name in reached)
