"""Engines and pipeline with the shipped weights: equal results, honest errors, no PyTorch where none is needed."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import yaml

pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')

from ldfusion_models.engines import create_engine  # noqa: E402
from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import read_image, write_image  # noqa: E402
from ldfusion_models.graph.export import export_onnx  # noqa: E402
from ldfusion_models.graph.manifest import SHIPPED, load_frame_graph, read_manifest  # noqa: E402
from ldfusion_models.mappings import from_mapping  # noqa: E402
from ldfusion_models.rig.depth_estimator import DepthEstimator  # noqa: E402
from ldfusion_models.rig.pipeline import Pipeline  # noqa: E402

Image = npt.NDArray[np.uint8]
# What the student's features change in the fused image, on average.
LEVELS_OF_STUDENT = 3.0


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights as one ONNX file."""
    path = tmp_path_factory.mktemp('onnx') / 'frame_graph.onnx'
    export_onnx(path)
    return path


@pytest.fixture(scope='module')
def pair() -> tuple[Image, Image]:
    """A street-like pair of 147x101 pixels: a road, a wall and a warm shape, with a little noise."""
    generator = np.random.default_rng(3)
    visible = np.full((101, 147, 3), (110, 140, 180), np.uint8)
    cv2.fillPoly(visible, [np.array([(0, 100), (146, 100), (90, 50), (60, 50)])], (70, 70, 72))
    cv2.rectangle(visible, (100, 20), (146, 70), (130, 80, 60), -1)
    thermal = cv2.GaussianBlur(visible[..., 2] // 3, (0, 0), 2)
    cv2.ellipse(thermal, (40, 60), (6, 18), 0, 0, 360, 240, -1)
    noise = generator.integers(0, 12, visible.shape, dtype=np.uint8)
    return visible + noise, (thermal + noise[..., 0] // 2).astype(np.uint8)


@pytest.mark.parametrize('is_exported', [True, False], ids=['exported file', 'folder of weights'])
def test_onnxruntime_gives_what_pytorch_gives(is_exported: bool, exported: Path, pair: tuple[Image, Image]) -> None:
    ours = Pipeline.load('onnxruntime', exported if is_exported else None)(*pair)
    reference = Pipeline.load('torch')(*pair)
    difference = np.abs(ours.fused.astype(int) - reference.fused)
    assert np.percentile(difference, 99.9) <= 1
    relative = np.abs(ours.depth / reference.depth - 1)
    assert np.median(relative) < 0.005
    assert np.percentile(relative, 99) < 0.02
    np.testing.assert_allclose(ours.uncertainty, reference.uncertainty, rtol=0.05)


def test_mixed_precision_in_pytorch_stays_within_the_tolerances(pair: tuple[Image, Image]) -> None:
    import torch

    from ldfusion_models.engines.torch_engine import make_mixed
    from ldfusion_models.graph.manifest import load_frame_graph

    graph, _ = load_frame_graph()
    inputs = torch.from_numpy(pair[0][None]), torch.from_numpy(pair[1][None, ..., None]), torch.zeros((1, 64))
    with torch.inference_mode():
        full = graph(*inputs)
        make_mixed(graph)
        mixed = graph(*inputs)
    assert not torch.equal(full[1], mixed[1])
    difference = (full[0].int() - mixed[0].int()).abs().float()
    assert difference.quantile(0.999) <= 1
    relative = (mixed[1] / full[1] - 1).abs()
    assert relative.median() < 0.005
    assert relative.quantile(0.99) < 0.02


def test_fused_image_shows_the_warm_shape_and_keeps_the_colours(exported: Path, pair: tuple[Image, Image]) -> None:
    visible, thermal = pair
    fused = Pipeline.load('onnxruntime', exported)(visible, thermal).fused.astype(int)
    assert fused[55:65, 38:43].mean() > visible[55:65, 38:43].mean() + 40
    wall, sky = fused[30:60, 110:140].mean(axis=(0, 1)), fused[5:30, 5:90].mean(axis=(0, 1))
    assert wall[0] > wall[2] + 30, 'a brown wall stays brown'
    assert sky[2] > sky[0] + 30, 'a blue sky stays blue'


def test_depth_follows_the_focal_length_and_images_of_any_kind_are_taken(
    exported: Path, pair: tuple[Image, Image]
) -> None:
    pipeline = Pipeline.load('onnxruntime', exported)
    visible, thermal = pair
    canonical = pipeline.engine.info.canonical_focal
    once, twice = pipeline(visible, thermal, focal=canonical), pipeline(visible, thermal, focal=2 * canonical)
    np.testing.assert_allclose(twice.depth, 2 * once.depth, rtol=1e-6)
    grey = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
    counts = thermal[::2, ::2].astype(np.uint16) * 20 + 27000
    result = pipeline(grey, counts)
    assert result.fused.shape == (101, 147, 3)
    assert np.isfinite(result.depth).all()


def test_large_images_are_fused_at_a_smaller_size_and_keep_their_details(
    exported: Path, pair: tuple[Image, Image]
) -> None:
    visible, thermal = (cv2.resize(image, (294, 202), interpolation=cv2.INTER_CUBIC) for image in pair)
    visible = visible.copy()
    visible[20:40:2, 200:240] = 255
    engine = create_engine('onnxruntime', exported)
    whole, reduced = Pipeline(engine), Pipeline(engine, inference_size=147)
    expected, ours = whole(visible, thermal, focal=400.0), reduced(visible, thermal, focal=400.0)
    assert ours.fused.shape == visible.shape
    assert ours.depth.shape == visible.shape[:2]
    assert np.abs(ours.fused.astype(int) - expected.fused).mean() < 6
    stripes = ours.fused[20:40, 210:230].astype(int).mean(axis=(1, 2))
    assert (stripes[::2] - stripes[1::2]).mean() > 50, 'stripes of one pixel survive'
    small = whole(*(cv2.resize(image, (147, 101), interpolation=cv2.INTER_AREA) for image in (visible, thermal)))
    scale = 400.0 / 2 / engine.info.canonical_focal
    assert np.median(ours.depth) == pytest.approx(np.median(small.depth) * scale, rel=0.05)


@pytest.mark.parametrize(
    ('visible', 'thermal', 'message'),
    [
        (np.zeros((20, 40, 3), np.uint8), np.zeros((20, 40), np.uint8), '32 pixels'),
        (np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.uint8), 'visible'),
        (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 2), np.uint8), 'thermal'),
        (np.zeros((64, 64, 5), np.uint8), np.zeros((64, 64), np.uint8), 'visible'),
    ],
)
def test_images_that_cannot_be_fused_are_named(exported: Path, visible: Image, thermal: Image, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline.load('onnxruntime', exported)(visible, thermal)


def test_an_embedding_of_another_length_is_refused(exported: Path, pair: tuple[Image, Image]) -> None:
    pipeline = Pipeline.load('onnxruntime', exported)
    with pytest.raises(InputError, match='embedding'):
        pipeline(*pair, text=np.zeros(3, np.float32))


@pytest.mark.parametrize('branch', ['visible', 'thermal'])
def test_each_branch_estimates_depth_alone(branch: str, pair: tuple[Image, Image]) -> None:
    estimator = DepthEstimator.load(branch)
    for image in pair:
        depth = estimator(image, focal=600.0)
        assert depth.shape == image.shape[:2]
        assert depth.min() > 0
    with pytest.raises(InputError, match='sonar'):
        DepthEstimator.load('sonar')


@pytest.mark.parametrize('branch', ['visible', 'thermal'])
def test_a_branch_alone_gives_what_pytorch_gives(branch: str, pair: tuple[Image, Image]) -> None:
    import torch

    image = cv2.resize(pair[branch == 'thermal'], (192, 128))
    network = getattr(load_frame_graph()[0], f'{branch}_depth')
    planes = torch.from_numpy(image.reshape(1, 128, 192, -1).transpose(0, 3, 1, 2) / np.float32(255.0))
    with torch.inference_mode():
        seen, mirrored = network(planes), network(planes.flip(3))
    log_depth = (seen.log_depth + mirrored.log_depth.flip(3))[0, 0].numpy() / 2
    deviation = ((seen.variance + mirrored.variance.flip(3))[0, 0].numpy() / 2) ** 0.5
    found = DepthEstimator.load(branch).with_deviation(image)
    np.testing.assert_allclose(found[0], np.exp(log_depth), rtol=1e-4)
    np.testing.assert_allclose(found[1], deviation, rtol=1e-3)


def test_weights_without_the_graph_of_a_branch_are_named(tmp_path: Path) -> None:
    manifest = yaml.safe_load((SHIPPED / 'manifest.yaml').read_text())
    del manifest['parts']['visible_depth']['graph']
    path = copy_of_shipped(tmp_path) / 'manifest.yaml'
    path.write_text(yaml.safe_dump(manifest))
    with pytest.raises(InputError, match=r'manifest.yaml: lists no graph of visible_depth'):
        DepthEstimator.load('visible', tmp_path)


@pytest.mark.parametrize('is_exported', [True, False], ids=['exported file', 'folder of weights'])
def test_no_pytorch_is_needed(is_exported: bool, exported: Path) -> None:
    program = """
import sys
sys.modules['torch'] = sys.modules['onnx'] = None
import numpy as np
from pathlib import Path
from ldfusion_models.rig.pipeline import Pipeline
weights = Path(sys.argv[1]) if sys.argv[1:] else None
result = Pipeline.load('auto', weights)(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8))
print(result.fused.shape, result.depth.shape)
"""
    command = [sys.executable, '-c', program, *([str(exported)] if is_exported else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == '(48, 64, 3) (48, 64)', done.stderr


@pytest.mark.parametrize('branch', ['visible', 'infrared'])
def test_the_depth_command_needs_no_pytorch(branch: str, pair: tuple[Image, Image], tmp_path: Path) -> None:
    image = tmp_path / 'street.png'
    write_image(image, pair[branch == 'infrared'])
    program = """
import sys
sys.modules['torch'] = sys.modules['onnx'] = None
from ldfusion_training.cli import main
sys.exit(main(sys.argv[1:]))
"""
    options = ['depth', '--image', str(image), '--branch', branch, '--fx', '600', '--depth-format', 'tiff']
    command = [sys.executable, '-c', program, *options, '--output', str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    depth = cv2.imread(str(tmp_path / 'depth' / 'street.tiff'), cv2.IMREAD_UNCHANGED)
    expected = DepthEstimator.load('thermal' if branch == 'infrared' else branch)(read_image(image), 600.0)
    np.testing.assert_allclose(depth, expected, rtol=1e-5)


def test_the_export_command_writes_what_export_onnx_writes(exported: Path, tmp_path: Path) -> None:
    from ldfusion_training.cli import main

    file = tmp_path / 'robot.onnx'
    assert main(['export', '--output', str(file)]) == 0
    assert file.read_bytes() == exported.read_bytes()


def test_files_that_are_no_graph_are_named(exported: Path, tmp_path: Path) -> None:
    truncated = tmp_path / 'truncated.onnx'
    truncated.write_bytes(exported.read_bytes()[:100_000])
    foreign = tmp_path / 'foreign.onnx'
    model = onnx.load(str(exported))
    del model.metadata_props[:]
    onnx.save(model, str(foreign))
    for path in (truncated, foreign, tmp_path / 'absent.onnx'):
        with pytest.raises(InputError, match=path.name):
            create_engine('onnxruntime', path)
    with pytest.raises(InputError, match='quantum'):
        create_engine('quantum')


def copy_of_shipped(folder: Path) -> Path:
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize('folder', [None, 'copy'], ids=['of the package', 'of a folder'])
def test_the_papers_denoiser_is_one_word_away(folder: str | None, tmp_path: Path, pair: tuple[Image, Image]) -> None:
    """The profile's graph holds the denoiser and no student, and gives nearly the same frames."""
    weights = copy_of_shipped(tmp_path) / 'paper' if folder else Path('paper')
    with pytest.raises(InputError, match='papier'):
        create_engine('onnxruntime', weights.with_name('papier'))
    engine = create_engine('onnxruntime', weights, threads=1)
    graph, manifest = load_frame_graph(weights)
    assert not hasattr(graph, 'student')
    assert 'denoiser.stem.weight' in dict(graph.named_parameters())
    assert engine.info.weights_id == manifest.weights_id != read_manifest().weights_id
    visible, thermal = pair
    inputs = visible[None], thermal[None, :, :, None], np.zeros((1, engine.info.text_dim), np.float32)
    proof = create_engine('torch', weights, threads=1).proof
    assert 'beside ONNX Runtime on the reference pair: fused differs by 0 levels' in proof, 'of this profile'
    difference = np.abs(engine.run(*inputs).fused.astype(int) - create_engine('onnxruntime').run(*inputs).fused)
    assert 0 < difference.mean() < LEVELS_OF_STUDENT


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path)
    weights = folder / read_manifest(folder).parts['fusion']['file']
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(InputError, match=weights.name):
        create_engine('torch', folder)
    weights.unlink()
    with pytest.raises(InputError, match=weights.name):
        create_engine('torch', folder)


def test_a_manifest_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path)
    content = yaml.safe_load((folder / 'manifest.yaml').read_text())
    content['config']['fusion']['widhts'] = [1]
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match='widhts'):
        create_engine('torch', folder)
    with pytest.raises(InputError, match='manifest'):
        read_manifest(tmp_path / 'absent')


def test_settings_of_the_wrong_type_are_named() -> None:
    from ldfusion_models.networks.depth import DepthConfig

    with pytest.raises(InputError, match='bins'):
        from_mapping(DepthConfig, {'bins': 'many'}, 'test')
    with pytest.raises(InputError, match=r"widths: 'many' is not of type int"):
        from_mapping(DepthConfig, {'widths': [32, 'many']}, 'test')
    assert from_mapping(DepthConfig, {'maximum': 80}, 'test').maximum == 80.0
