"""The depth teacher: the published encoder as transformers has it, training, tiles, and the data set it writes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('onnx')
pytest.importorskip('accelerate')

from tiny_depth import write_vision_encoder  # noqa: E402

from ldfusion_models.camera.lens import Intrinsics  # noqa: E402
from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import write_image  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.data.depth import depth_to_kitti, read_camera  # noqa: E402
from ldfusion_training.data.depth_sets import open_depth  # noqa: E402
from ldfusion_training.report.tables import write_json  # noqa: E402
from ldfusion_training.stages.depth_teacher import load_teacher  # noqa: E402
from ldfusion_training.teacher.encoder import VisionEncoder, load_published  # noqa: E402
from ldfusion_training.teacher.estimator import TeacherEstimator  # noqa: E402
from ldfusion_training.teacher.network import TeacherConfig, TeacherNetwork  # noqa: E402

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
CAMERA = {'width': 128, 'height': 96, 'fx': 250.0, 'fy': 250.0, 'cx': 60.0, 'cy': 50.0}


@pytest.fixture(scope='module')
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """Transformers' DINOv2 of two blocks with random weights, and its ONNX file."""
    path = tmp_path_factory.mktemp('encoder') / 'vit.onnx'
    return path, write_vision_encoder(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images of a slope with depth, aligned thermal images and a camera each."""
    folder = tmp_path / 'data'
    depth = np.broadcast_to(np.linspace(20, 2, 96, dtype=np.float32)[:, None], (96, 128))
    generator = np.random.default_rng(0)
    for name in ('a', 'b'):
        image = cv2.GaussianBlur(generator.integers(0, 255, (96, 128, 3), np.uint8), (0, 0), 3)
        write_image(folder / 'vi' / f'{name}.png', image)
        write_image(folder / 'ir' / f'{name}.png', image[..., 0])
        write_image(folder / 'depth' / f'{name}.png', depth_to_kitti(depth))
        write_json(folder / 'camera' / f'{name}.json', CAMERA)
    return folder


def test_encoder_has_the_features_of_the_published_network(published: tuple[Path, torch.nn.Module]) -> None:
    path, backbone = published
    encoder = VisionEncoder(2)
    load_published(encoder, path)
    image = torch.rand(1, 3, 140, 196)
    with torch.no_grad():
        ours = encoder(image)
        theirs = backbone((image - MEAN) / DEVIATION, output_hidden_states=True).hidden_states[1:]
    for own, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.flatten(2).transpose(1, 2), their[:, 1:], rtol=1e-3, atol=2e-3)


def test_other_files_are_refused(published: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    with pytest.raises(InputError, match='does not hold a vision transformer of this size'):
        load_published(VisionEncoder(3), published[0])
    (tmp_path / 'text.onnx').write_text('no network')
    with pytest.raises(InputError, match='not readable as ONNX'):
        load_published(VisionEncoder(2), tmp_path / 'text.onnx')


def test_estimates_follow_scale_and_mirror_image() -> None:
    torch.manual_seed(0)
    network = TeacherNetwork(TeacherConfig(blocks=2, width=32))
    torch.nn.init.normal_(network.log_depth_and_variance.weight, std=0.05)
    estimator = TeacherEstimator([network])
    generator = np.random.default_rng(1)
    image = cv2.GaussianBlur(generator.integers(0, 255, (336, 700, 3), np.uint8), (0, 0), 5)
    log_depth, variance = estimator(image)
    assert log_depth.shape == variance.shape == (336, 700)
    assert np.std(log_depth) > 1e-3
    mirrored, _ = estimator(np.ascontiguousarray(image[:, ::-1]))
    np.testing.assert_allclose(mirrored[:, ::-1], log_depth, atol=1e-4)
    # Twice as many pixels for the same things: for the canonical camera, they are twice as near.
    doubled, _ = estimator(cv2.resize(image, None, fx=2, fy=2))
    assert np.median(doubled[::2, ::2] - log_depth) == pytest.approx(-np.log(2), abs=0.02)


def test_teacher_is_trained_and_writes_a_data_set(
    published: tuple[Path, torch.nn.Module], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / 'teacher.yaml'
    settings = {
        'encoder': str(published[0]),
        'encoder_rate': 0.0,
        'trainer': {'batch_size': 2, 'steps': 2, 'warmup': 1},
        'data': {'folders': [str(data)], 'crop': [112, 84], 'fused': 0},
        'teacher': {'blocks': 2, 'width': 32},
    }
    recipe.write_text(yaml.safe_dump(settings))
    run = tmp_path / 'run'
    assert main(['train', 'depth_teacher', '--config', str(recipe), '--output', str(run)]) == 0
    teacher = load_teacher(run / 'checkpoint.pt')
    untrained = VisionEncoder(2)
    load_published(untrained, published[0])
    torch.testing.assert_close(teacher.encoder.state_dict(), untrained.state_dict())
    assert bool(teacher.log_depth_and_variance.weight.any())

    taught = tmp_path / 'taught'
    words = ['teach-depth', '--data', str(data), '--teacher', str(run / 'checkpoint.pt'), '--output', str(taught)]
    assert main(words) == 0
    sources = open_depth(taught).sources
    assert [source.name for source in sources] == ['a', 'b']
    assert read_camera(taught / 'camera' / 'a.json') == Intrinsics(**CAMERA)
    assert (taught / 'ir' / 'a.png').is_file()
    sample = sources[0].read()
    log_depth, _ = TeacherEstimator([teacher])(sample.image, (60.0, 50.0))
    np.testing.assert_allclose(sample.depth, np.exp(log_depth) * 250 / 500, atol=0.5 / 256 + 1e-4)

    assert main([*words[:4], str(published[0]), *words[5:]]) == 2
    assert 'not a readable checkpoint' in capsys.readouterr().err
