"""Published depth networks from local folders: tiny ones with random weights, written and read as the real ones are."""

import json
from pathlib import Path

import numpy as np
import pytest
from heavy import WhenUsed

torch = pytest.importorskip('torch')
transformers = WhenUsed('transformers')
WhenUsed('torchvision')

from tiny_depth import write_depth_anything, write_zoe  # noqa: E402

from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import read_image, write_image  # noqa: E402
from ldfusion_models.networks.published_depth import PublishedDepth, PublishedEstimator  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp('published')
    return {'zoedepth': write_zoe(root / 'zoe'), 'depth_anything': write_depth_anything(root / 'anything')}


@pytest.mark.parametrize('model', ['zoedepth', 'depth_anything'])
@pytest.mark.parametrize('branch', ['visible', 'thermal'])
def test_the_command_writes_what_the_pipeline_of_transformers_says(
    model: str, branch: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    from PIL import Image

    image = IMAGE if branch == 'visible' else IMAGE[..., 0]
    write_image(tmp_path / 'in/a.png', image)
    words = ['--image', str(tmp_path / 'in'), '--output', str(tmp_path / 'out'), '--branch', branch]
    assert main(['depth', *words, '--model', str(folders[model])]) == 0
    depth = read_image(tmp_path / 'out/depth/a.png') / 1000.0
    reference = transformers.pipeline('depth-estimation', model=str(folders[model]))
    expected = reference(Image.fromarray(image).convert('RGB'))['predicted_depth'].numpy()
    assert depth.shape == image.shape[:2] == expected.shape
    assert expected.std() > 1e-3, 'the reference must have some relief'
    np.testing.assert_allclose(depth, expected, atol=0.0006)
    assert json.loads((tmp_path / 'out/summary.json').read_text())['model'] == str(folders[model])


def test_every_image_of_a_batch_is_estimated_by_itself(folders: dict[str, Path]) -> None:
    network = PublishedDepth.load(str(folders['zoedepth']))
    images = torch.rand(2, 3, 48, 64)
    both = network(images).log_depth
    assert both.shape == (2, 1, 48, 64)
    torch.testing.assert_close(both[1:], network(images[1:]).log_depth, rtol=1e-4, atol=1e-4)


def test_an_unknown_branch_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match='sonar'):
        PublishedEstimator(PublishedDepth.load(str(folders['zoedepth'])), 'sonar')


def relative(folder: Path) -> None:
    write_depth_anything(folder, 'relative')


def no_depth_network(folder: Path) -> None:
    transformers.BertConfig(hidden_size=8, num_hidden_layers=1).save_pretrained(folder)
    transformers.DPTImageProcessor().save_pretrained(folder)


def without_processor(folder: Path) -> None:
    write_zoe(folder)
    (folder / 'preprocessor_config.json').unlink()


def truncated(folder: Path) -> None:
    weights = write_zoe(folder) / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:1000])


def lacking_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = write_zoe(folder) / 'model.safetensors'
    kept = {name: tensor for name, tensor in load_file(weights).items() if 'metric_head' not in name}
    save_file(kept, weights, {'format': 'pt'})


def empty(folder: Path) -> None:
    folder.mkdir()


@pytest.mark.parametrize(
    ('write', 'reason'),
    [
        (relative, 'without a unit'),
        (no_depth_network, 'cannot be loaded'),
        (without_processor, 'cannot be loaded'),
        (truncated, 'cannot be loaded'),
        (lacking_weights, 'weights lack metric_head'),
        (empty, 'cannot be loaded'),
        (None, 'no such folder'),
    ],
)
def test_models_that_give_no_metric_depth_are_named_in_one_line(
    write, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / 'model'
    if write is not None:
        write(folder)
    write_image(tmp_path / 'a.png', IMAGE)
    words = ['--image', str(tmp_path / 'a.png'), '--output', str(tmp_path / 'out'), '--branch', 'visible']
    capsys.readouterr()
    assert main(['depth', *words, '--model', str(folder)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('ldfusion')]
    assert len(lines) == 1
    assert str(folder) in lines[0]
    assert reason in lines[0]
    assert not (tmp_path / 'out').exists()
