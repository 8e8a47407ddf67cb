"""A published depth network by name, from a hub to the node's frame graph: depth is what transformers itself gives."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub import Hub, serving
from tiny_depth import transformers, write_depth_anything, write_glpn, write_zoe

from ldfusion_models.engines import create_engine
from ldfusion_models.files import read_image, write_image
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_training.cli import main

NAME = 'owner/tiny'
SIZE = (96, 64)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('LDFUSION_MODELS', str(tmp_path / 'store'))
    return tmp_path / 'store'


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    """A smooth pair of the prepared size."""
    rows, columns = np.mgrid[:64, :96]
    visible = np.stack([columns * 2, rows * 3, 255 - columns - rows], axis=2).astype(np.uint8)
    write_image(tmp_path / 'visible.png', visible)
    write_image(tmp_path / 'thermal.png', (np.hypot(rows - 30, columns - 40) * 3).astype(np.uint8))
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('ldfusion')]
    assert len(lines) == 1
    return lines[0]


def pipeline_depth(folder: Path, image: Path) -> np.ndarray:
    from PIL import Image

    estimate = transformers.pipeline('depth-estimation', model=str(folder))
    depth: np.ndarray = estimate(Image.open(image).convert('RGB'))['predicted_depth'].numpy()
    return depth


@pytest.mark.parametrize('write', [write_depth_anything, write_zoe, write_glpn])
def test_fused_images_get_the_depth_that_transformers_gives(write, images: Path) -> None:
    folder = write(images / 'model')
    assert main(['models', 'prepare', str(folder), '--size', '96x64']) == 0
    words = ['--visible', str(images / 'visible.png'), '--thermal', str(images / 'thermal.png')]
    out = images / 'out'
    assert (
        main(['fuse', *words, '--output', str(out), '--depth', str(folder), '--fx', '70', '--depth-format', 'npz']) == 0
    )
    depth = np.load(out / 'depth/visible.npz')
    depth = depth[depth.files[0]]
    expected = pipeline_depth(folder, out / 'fused/visible.png')
    assert depth.shape == expected.shape
    assert expected.std() > 1e-3
    assert np.median(np.abs(depth / expected - 1)) < 1e-3, 'whatever the focal length'


def test_a_fetched_model_goes_by_its_name_to_the_node(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = NodeSettings(depth=NAME, depth_source='thermal')
    prepare = ['models', 'prepare', NAME, '--size', '96x64', '--depth-source', 'thermal']
    assert f'ldfusion models fetch {NAME}' in fails(capsys, *prepare)
    with serving(Hub(NAME, write_glpn(images / 'published'))) as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.url)
        assert main(['models', 'fetch', NAME]) == 0
    use = ['models', 'use', NAME, '--depth-source', 'thermal', '--output', str(images / 'robot.yaml')]
    assert f'ldfusion models prepare {NAME} --depth-source thermal' in fails(capsys, *use)
    assert main(prepare) == 0
    assert main(use) == 0
    parameters = yaml.safe_load((images / 'robot.yaml').read_text())['/**/fusion_node']['ros__parameters']
    assert parameters == {'depth': NAME, 'depth_source': 'thermal', 'inference_size': 96}
    engine = create_engine('onnxruntime', settings.weights_folder)
    assert engine.info.depth == f'{NAME}, of the thermal image'
    visible, thermal = read_image(images / 'visible.png')[None], read_image(images / 'thermal.png')[None, ..., None]
    output = engine.run(visible, thermal, np.zeros((1, engine.info.text_dim), np.float32))
    expected = pipeline_depth(images / 'published', images / 'thermal.png')
    assert np.median(np.abs(output.depth[0] / expected - 1)) < 1e-3


def test_relative_networks_are_refused_with_the_metric_one(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, 'models', 'prepare', 'depth-anything/Depth-Anything-V2-Small-hf')
    assert 'Depth-Anything-V2-Metric-Outdoor-Small-hf' in line
    folder = write_depth_anything(images / 'relative', 'relative')
    assert 'without a unit' in fails(capsys, 'models', 'prepare', str(folder), '--size', '96x64')
    assert not list(folder.glob('*.onnx'))
