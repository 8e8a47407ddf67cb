"""Exported graphs: equal to the PyTorch pipeline on real pairs, for one size or any, and never damaged."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from paths import DATA

pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')

from ldfusion_models.camera.images import AnyImage  # noqa: E402
from ldfusion_models.engines import create_engine  # noqa: E402
from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import match_pairs, read_image  # noqa: E402
from ldfusion_models.graph.export import METADATA_KEY, complete_graph, export_onnx  # noqa: E402
from ldfusion_models.graph.static_graph import static_graph  # noqa: E402
from ldfusion_models.rig.pipeline import Pipeline  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402

PAIRS_OF_A_SET = 2


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('export') / 'robot.onnx'
    export_onnx(path)
    return path


@pytest.fixture(scope='module')
def torch_pipeline() -> Pipeline:
    return Pipeline.load('torch')


def real_pairs(folder: str) -> Iterator[tuple[AnyImage, AnyImage]]:
    visible, thermal = DATA / folder / 'vi', DATA / folder / 'ir'
    if not visible.is_dir():
        pytest.skip(f'{visible} is not here')
    for first, second in match_pairs(visible, thermal)[:PAIRS_OF_A_SET]:
        yield read_image(first), read_image(second)


def made_pairs() -> Iterator[tuple[AnyImage, AnyImage]]:
    """What photographs have at their worst: noise beside flat, black beside white, steps, and 16 bits."""
    rows, columns = np.indices((120, 180))
    noise = np.random.default_rng(0).integers(0, 256, (120, 180, 3), np.uint8)
    steps = np.where((rows // 15 + columns // 20) % 2, 255, 0).astype(np.uint8)
    yield noise, np.full((120, 180), 90, np.uint8)
    yield np.zeros((120, 180, 3), np.uint8), steps
    yield np.stack([steps, columns.astype(np.uint8), rows.astype(np.uint8)], axis=2), noise[..., 0]
    yield noise, (28_000 + 40 * rows + 7 * columns).astype(np.uint16)


def simulated_pairs() -> Iterator[tuple[AnyImage, AnyImage]]:
    pytest.importorskip('embreex', reason='simulation needs embreex')
    from ldfusion_training.simulation import SimulationConfig, simulate_scene

    settings = SimulationConfig(seed=2, scenes=PAIRS_OF_A_SET, frames=1, width=240, height=180)
    for index in range(settings.scenes):
        frame = next(iter(simulate_scene(settings, index)))
        yield frame.visible, frame.thermal_raw


@pytest.mark.parametrize('source', ['made', 'simulated', 'tno/val'])
def test_an_export_gives_what_the_pytorch_pipeline_gives(source: str, exported: Path, torch_pipeline: Pipeline) -> None:
    # Gain control remembers, so each starts anew.
    ours, reference = Pipeline.load('onnxruntime', exported), Pipeline(torch_pipeline.engine)
    levels, relative = [], []
    pairs = {'made': made_pairs, 'simulated': simulated_pairs}.get(source, lambda: real_pairs(source))
    for visible, thermal in pairs():
        result, expected = ours(visible, thermal), reference(visible, thermal)
        levels.append(np.abs(result.fused.astype(int) - expected.fused).ravel())
        relative.append(np.abs(result.depth / expected.depth - 1).ravel())
    assert np.percentile(np.concatenate(levels), 99.9) <= 1
    assert np.median(np.concatenate(relative)) < 0.005
    assert np.percentile(np.concatenate(relative), 99) < 0.02


def pair(seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Smooth random images, visible (96, 128, 3) and thermal (96, 128)."""
    image = cv2.resize(np.random.default_rng(seed).integers(0, 256, (12, 16, 4), np.uint8), (128, 96))
    return np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3])


def test_a_graph_of_one_size_gives_the_same_and_refuses_other_sizes(exported: Path, tmp_path: Path) -> None:
    file = tmp_path / 'small.onnx'
    assert main(['export', '--output', str(file), '--size', '128x96']) == 0
    pipeline = Pipeline.load('onnxruntime', file)
    assert pipeline.engine.info.size == (128, 96)
    result, expected = pipeline(*pair()), Pipeline.load('onnxruntime', exported)(*pair())
    assert np.abs(result.fused.astype(int) - expected.fused).max() <= 1
    np.testing.assert_allclose(result.depth, expected.depth, rtol=1e-3)
    pipeline.warm_up(640, 480)
    with pytest.raises(InputError, match='64x48 pixels, but the exported graph takes 128x96'):
        pipeline(*(cv2.resize(image, (64, 48)) for image in pair()))
    twice = [np.kron(image, np.ones((2, 2, 1)[: image.ndim], np.uint8)) for image in pair()]
    assert Pipeline(pipeline.engine, inference_size=128)(*twice).fused.shape == (192, 256, 3)
    content = complete_graph(file)[0]
    assert static_graph(content, (128, 96))
    with pytest.raises(InputError, match='128x96 only, not 640x480'):
        static_graph(content, (640, 480))


@pytest.mark.parametrize('load', [lambda path: create_engine('onnxruntime', path), complete_graph], ids=['run', 'read'])
@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        ('a weight', 'sha256'),
        ('truncated', 'not a readable ONNX file'),
        ('other form', 'written by version 0.0.7'),
        ('not ours', 'not a frame graph'),
    ],
)
def test_damaged_and_foreign_files_are_refused(load, damage: str, words: str, exported: Path, tmp_path: Path) -> None:
    content = exported.read_bytes()
    path = tmp_path / 'other.onnx'
    model = onnx.load_from_string(content)
    if damage == 'a weight':
        weight = next(item for item in model.graph.initializer if item.name == 'fusion.lateral.1.weight')
        at = content.index(weight.raw_data) + 2
        content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    elif damage == 'truncated':
        content = content[: len(content) // 2]
    else:
        facts = '{"format": 0, "version": "0.0.7", "sha256": ""}' if damage == 'other form' else '{}'
        onnx.helper.set_model_props(model, {METADATA_KEY: facts})
        content = model.SerializeToString()
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ('', '--output'),
        ('--output robot.txt', '.onnx'),
        ('--output robot.onnx --precision mixed', 'the file is fp32'),
        ('--output robot.onnx --size 31x64', '31x64'),
        ('--output robot.onnx --compute-capability 8.9', '--engine tensorrt'),
    ],
)
def test_options_that_do_not_fit_are_named(options: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['export', *options.split()]) == 2
    assert named in capsys.readouterr().err


def test_an_export_of_one_size_is_not_exported_for_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'small.onnx'
    export_onnx(file, size=(64, 48))
    assert main(['export', '--weights', str(file), '--output', str(tmp_path / 'again.onnx')]) == 2
    assert 'small.onnx: made for one size' in capsys.readouterr().err
