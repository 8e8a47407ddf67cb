"""A published depth network by name, from a hub to the node's frame graph: depth is what transformers itself gives."""

import dataclasses
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub import Hub, serving
from tiny_depth import torch, transformers, write_depth_anything, write_depth_pro, write_glpn, write_zoe

from ldfusion_models.engines import create_engine, plan_cache
from ldfusion_models.engines.selection import obstacle_to
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image, write_image
from ldfusion_models.graph import published_depth_graph
from ldfusion_models.graph.export import complete_graph, with_metadata
from ldfusion_models.rig.rig import pipeline_of
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_training.cli import main
from ldfusion_training.recordings.bags import read_bag

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


def focal_depth(folder: Path, image: Path, focal: float) -> np.ndarray:
    """What a network that takes a focal length gives for it."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    planes = read_image(image)
    with torch.inference_mode():
        network = transformers.AutoModelForDepthEstimation.from_pretrained(folder).eval()
        output = network(**processor(images=planes, return_tensors='pt'))
    height, width = planes.shape[:2]
    output.field_of_view = torch.tensor([2 * math.degrees(math.atan(width / 2 / focal))])
    (result,) = processor.post_process_depth_estimation(output, target_sizes=[(height, width)])
    depth: np.ndarray = result['predicted_depth'].numpy()
    return depth


def depth_of_recording(images: Path) -> np.ndarray:
    """Depth of the pair as a recording, evaluated as the node that ``robot.yaml`` is for would run."""
    for camera in ('visible', 'thermal'):
        write_image(images / camera / 'a.png', read_image(images / f'{camera}.png'))
    cameras = ['--visible', str(images / 'visible'), '--thermal', str(images / 'thermal')]
    # A focal length of 70 pixels.
    cameras += ['--fov', str(math.degrees(2 * math.atan(48 / 70)))]
    assert main(['make-bag', str(images / 'bag'), *cameras]) == 0
    words = ['--parameters', str(images / 'robot.yaml'), '--engine', 'onnxruntime', '--output-bag']
    assert main(['evaluate', 'bag', str(images / 'bag'), '--output', str(images / 'evaluated'), *words]) == 0
    (record,) = read_bag(images / 'evaluated/recordings/bag/outputs', ['/fusion_node/depth/image'])
    return np.asarray(record.image())


@pytest.mark.parametrize('write', [write_depth_anything, write_zoe, write_glpn, write_depth_pro])
def test_fused_images_get_the_depth_that_transformers_gives(
    write, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(images / 'model')
    is_large = write is write_depth_pro
    if is_large:
        monkeypatch.setattr(published_depth_graph, 'LARGEST_BYTES', 0)
    assert main(['models', 'prepare', str(folder), '--size', '96x64']) == 0
    words = ['--visible', str(images / 'visible.png'), '--thermal', str(images / 'thermal.png')]
    out = images / 'out'
    assert (
        main(['fuse', *words, '--output', str(out), '--depth', str(folder), '--fx', '70', '--depth-format', 'npz']) == 0
    )
    depth = np.load(out / 'depth/visible.npz')
    depth = depth[depth.files[0]]
    fused = out / 'fused/visible.png'
    expected = focal_depth(folder, fused, 70) if is_large else pipeline_depth(folder, fused)
    assert depth.shape == expected.shape
    assert expected.std() > 1e-3
    assert np.median(np.abs(depth / expected - 1)) < 1e-3, 'of the focal length given, or whatever it is'
    assert main(['models', 'use', str(folder), '--output', str(images / 'robot.yaml')]) == 0
    np.testing.assert_allclose(depth_of_recording(images), depth, rtol=1e-4)
    data = folder / 'frame_graph_fused.onnx.data'
    assert data.is_file() == is_large
    if is_large:
        assert '2 GB' in obstacle_to('tensorrt', folder / 'frame_graph_fused.onnx')
        data.write_bytes(data.read_bytes()[:-4] + b'none')
        assert data.name in fails(capsys, 'fuse', *words, '--output', str(out), '--depth', str(folder))


@pytest.fixture(scope='module')
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_depth_anything(tmp_path_factory.mktemp('prepared') / 'model')
    assert main(['models', 'prepare', str(folder), '--size', '96x64']) == 0
    return folder / 'frame_graph_fused.onnx'


@pytest.mark.parametrize('name', ['torch', 'openvino'])
def test_other_engines_run_the_prepared_network_as_onnxruntime_does(name: str, prepared: Path) -> None:
    pytest.importorskip(name)
    engine = create_engine(name, prepared)
    assert engine.info == create_engine('onnxruntime', prepared).info
    assert 'beside ONNX Runtime on the reference pair: fused differs by 0 levels' in engine.proof
    assert 'depth by 0.00% (median)' in engine.proof


def test_pytorch_refuses_a_graph_of_other_weights(prepared: Path, tmp_path: Path) -> None:
    content, info = complete_graph(prepared)
    shutil.copytree(prepared.parent, tmp_path / 'model')
    other = tmp_path / 'model' / prepared.name
    other.write_bytes(with_metadata(content, dataclasses.replace(info, weights_id='0' * 12)))
    with pytest.raises(InputError, match='prepared with weights 000000000000'):
        create_engine('torch', other)


def test_prepare_builds_for_tensorrt_what_nodes_would_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    pytest.importorskip('cuda.bindings')
    from ldfusion_models.engines.tensorrt_engine import Recipe

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    folder = write_glpn(tmp_path / 'model')
    assert main(['models', 'prepare', str(folder), '--size', '96x64', '--compute-capability', '12.0']) == 0
    recipe = Recipe(folder / 'frame_graph_fused.onnx')
    wanted = recipe.key(recipe.info.size, ('12.0',))
    assert str(recipe.folder / wanted.file_name) in capsys.readouterr().out
    plan = plan_cache.find(recipe.folder, wanted)
    assert plan is not None, 'what a node there looks for'
    assert len(plan) > 1_000_000


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
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')
    capsys.readouterr()
    assert main(prepare) == 0
    assert 'TensorRT builds nothing here: ' in capsys.readouterr().out
    assert main(use) == 0
    parameters = yaml.safe_load((images / 'robot.yaml').read_text())['/**/fusion_node']['ros__parameters']
    assert parameters == {'depth': NAME, 'depth_source': 'thermal'}
    engine = create_engine('onnxruntime', settings.weights_folder)
    large = pipeline_of(engine, settings)(np.zeros((128, 192, 3), np.uint8), np.zeros((128, 192), np.uint8))
    assert large.depth.shape == (128, 192), 'larger images are reduced to the prepared size'
    assert engine.info.depth == f'{NAME}, of the thermal image'
    visible, thermal = read_image(images / 'visible.png')[None], read_image(images / 'thermal.png')[None, ..., None]
    output = engine.run(visible, thermal, np.zeros((1, engine.info.text_dim), np.float32))
    expected = pipeline_depth(images / 'published', images / 'thermal.png')
    assert np.median(np.abs(output.depth[0] / expected - 1)) < 1e-3
    assert np.median(np.abs(depth_of_recording(images) / expected - 1)) < 1e-3
    assert NAME in (images / 'evaluated/report.html').read_text()


def test_relative_networks_are_refused_with_the_metric_one(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, 'models', 'prepare', 'depth-anything/Depth-Anything-V2-Small-hf')
    assert 'Depth-Anything-V2-Metric-Outdoor-Small-hf' in line
    folder = write_depth_anything(images / 'relative', 'relative')
    assert 'without a unit' in fails(capsys, 'models', 'prepare', str(folder), '--size', '96x64')
    assert not list(folder.glob('*.onnx'))
