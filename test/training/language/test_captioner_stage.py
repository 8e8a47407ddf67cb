"""What the captioner learns from: boxes of a teacher, of data sets and of simulated scenes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from paths import DATA
from tiny_detection import write_hit_uav, write_yolox

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
pytest.importorskip('accelerate')

from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.files import write_image  # noqa: E402
from ldfusion_models.language.facts import LIGHTS, PLACES, THINGS, WEATHERS  # noqa: E402
from ldfusion_models.mappings import from_mapping  # noqa: E402
from ldfusion_models.networks.captioner import CaptionerConfig, CaptionNetwork, SceneOutput  # noqa: E402
from ldfusion_training.language.detection_loss import agreement_loss, assign, cell_centres, detection_loss  # noqa: E402
from ldfusion_training.language.real_pairs import IGNORE  # noqa: E402
from ldfusion_training.language.taught_images import TaughtFolder, TaughtImage, read_boxed_thermal  # noqa: E402
from ldfusion_training.language.teacher_labels import TaughtBox  # noqa: E402
from ldfusion_training.runs.trainer import train  # noqa: E402
from ldfusion_training.stages import captioner as stage_module  # noqa: E402

TEACHER = DATA / 'teachers' / 'yolox_nano.onnx'
needs_teacher = pytest.mark.skipif(not TEACHER.is_file(), reason='the development data is not here')


def network_of(classes: tuple[str, ...]) -> CaptionNetwork:
    torch.manual_seed(0)
    return CaptionNetwork(CaptionerConfig(classes, PLACES, LIGHTS, WEATHERS)).eval()


def output_of(boxes: torch.Tensor, objectness: float, kind: int, side: int) -> SceneOutput:
    """A network that says everywhere the first box and class."""
    cells = len(cell_centres(side, side)[0])
    classes = torch.full((1, cells, len(THINGS)), -6.0)
    classes[..., kind] = 6.0
    return SceneOutput(boxes[:, :1].expand(1, cells, 4), torch.full((1, cells), objectness), classes, torch.zeros(1, 3))


@needs_teacher
def test_the_network_with_the_teachers_weights_is_the_teacher() -> None:
    import onnxruntime

    network = network_of(tuple(THINGS))
    stage_module.take_yolox(network, TEACHER)
    rgb = np.random.default_rng(0).integers(0, 255, (416, 416, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(TEACHER), providers=['CPUExecutionProvider'])
    bgr = rgb[..., ::-1].transpose(2, 0, 1)[None]
    answer = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(bgr)})[0][0]
    with torch.inference_mode():
        output = network(torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None] / 255.0)
    np.testing.assert_allclose(output.objectness.sigmoid()[0], answer[:, 4], atol=1e-4)
    np.testing.assert_allclose(output.classes.sigmoid()[0], answer[:, 5:][:, list(THINGS.values())], atol=1e-4)
    # The finest cells come first, row by row, with stride 8.
    cells, strides = cell_centres(416, 416)
    wide = np.exp(answer[:, 2]) * strides.numpy()
    middle = (answer[:, 0] + cells[:, 0].numpy() / strides.numpy() - 0.5) * strides.numpy()
    np.testing.assert_allclose(output.boxes[0, :, 2] - output.boxes[0, :, 0], wide, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose((output.boxes[0, :, 2] + output.boxes[0, :, 0]) / 2, middle, rtol=1e-3, atol=1e-2)


def test_another_network_is_no_teacher(tmp_path: Path) -> None:
    file = tmp_path / 'other.onnx'
    file.write_bytes(b'no model')
    with pytest.raises(InputError, match='YOLOX-Nano'):
        stage_module.take_yolox(network_of(('person',)), file)
    graph = onnx.helper.make_graph([], 'empty', [], [])
    onnx.save(onnx.helper.make_model(graph), str(file))
    with pytest.raises(InputError, match='0 convolutions'):
        stage_module.take_yolox(network_of(('person',)), file)


def test_cells_within_a_thing_are_to_find_it_and_no_others() -> None:
    wanted = torch.tensor([[16.0, 16.0, 80.0, 80.0], [100.0, 100.0, 116.0, 116.0]])
    centres, strides = cell_centres(128, 128)
    output = output_of(wanted[None], 0.0, 0, 128)
    cells, things = assign(output, 0, wanted, torch.zeros(2, dtype=torch.long), centres, strides)
    assert set(things.tolist()) == {0, 1}
    for cell, thing in zip(cells.tolist(), things.tolist(), strict=True):
        assert (centres[cell] > wanted[thing, :2]).all()
        assert (centres[cell] < wanted[thing, 2:]).all()


def test_the_loss_is_least_for_the_truth_and_blind_where_nothing_is_known() -> None:
    boxes, kinds = torch.zeros(1, 4, 4), torch.zeros(1, 4, dtype=torch.long)
    boxes[0, 0] = torch.tensor([32.0, 32.0, 96.0, 96.0])
    kinds[0, 0] = 2
    nowhere = torch.zeros(1, 1, 4)
    right = detection_loss(output_of(boxes, 0.0, 2, 128), boxes, kinds, nowhere, (128, 128))
    assert float(right['boxes']) == pytest.approx(0.0, abs=1e-5)
    moved = detection_loss(output_of(boxes + 16.0, 0.0, 2, 128), boxes, kinds, nowhere, (128, 128))
    # Overlap of 48 x 48 in 2 x 64 x 64 less that.
    assert float(moved['boxes']) == pytest.approx(1 - (48**2 / (2 * 64**2 - 48**2)) ** 2, rel=1e-4)
    other = detection_loss(output_of(boxes, 0.0, 0, 128), boxes, kinds, nowhere, (128, 128))
    assert float(other['classes']) > 5 * float(right['classes'])
    everywhere = torch.tensor([[[0.0, 0.0, 128.0, 128.0]]])
    nothing = torch.zeros(1, 4, 4)
    bold = output_of(boxes, 5.0, 2, 128)
    assert float(detection_loss(bold, nothing, kinds, nowhere, (128, 128))['objectness']) > 100
    assert float(detection_loss(bold, nothing, kinds, everywhere, (128, 128))['objectness']) == 0


def test_agreement_is_with_the_surest_source_in_score_and_place() -> None:
    box = torch.tensor([[[30.0, 20.0, 70.0, 100.0]]])
    sure, unsure, nothing = (output_of(box, level, 2, 128) for level in (4.0, 0.0, -9.0))
    moved = output_of(box + 16.0, 4.0, 2, 128)
    same = agreement_loss(sure, [nothing, sure])
    assert same < 0.1 * agreement_loss(unsure, [nothing, sure])
    assert agreement_loss(unsure, [nothing, sure]) < agreement_loss(nothing, [nothing, sure])
    assert agreement_loss(moved, [nothing, sure]) > same + 0.3
    # What no source shows is not to be found, and costs nothing if it is not.
    assert agreement_loss(sure, [nothing, nothing]) > 10.0
    assert agreement_loss(nothing, [nothing, nothing]) < 1e-3


def test_views_keep_boxes_on_their_things() -> None:
    image = np.full((100, 160, 3), 40, np.uint8)
    image[30:70, 100:130] = 250
    taught = TaughtImage(image, False, (TaughtBox('car', (100, 30, 130, 70), 1.0),))
    for seed in range(20):
        view, boxes = stage_module._view(np.random.default_rng(seed), taught, 128, (0.8, 1.6))
        bright = np.argwhere(view[..., 0] > 200)
        if not len(bright):
            assert not boxes
            continue
        ((_, box, _),) = boxes
        top, left = bright.min(0)
        bottom, right = bright.max(0) + 1
        np.testing.assert_allclose(box, [left, top, right, bottom], atol=2)


def test_thermal_boxes_are_learned_until_they_are_found(tmp_path: Path) -> None:
    folder = write_hit_uav(tmp_path / 'uav')
    assert {box.name for each in read_boxed_thermal(folder) for box in each.boxes} == {'person'}
    settings = {
        'trainer': {'batch_size': 4, 'warmup': 1, 'checkpoint_every': 40, 'steps': 40, 'learning_rate': 2e-3},
        'data': {'thermal': [str(folder)], 'crop': 128, 'zoom': [1.0, 1.2]},
    }
    config = from_mapping(stage_module.CONFIG, settings, 'test')
    losses = [
        report.losses['objectness'] for report in train(stage_module.create(config), config.trainer, tmp_path / 'r')
    ]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    again = dataclasses.replace(config, initial_weights=str(tmp_path / 'r' / 'checkpoint.pt'))
    first = next(iter(train(stage_module.create(again), config.trainer, tmp_path / 'again')))
    assert first.losses['objectness'] < 0.7 * losses[0], 'it goes on from where the other run ended'


@needs_teacher
def test_of_pairs_the_teachers_boxes_are_kept_and_hidden_things_ignored(tmp_path: Path) -> None:
    pair = DATA / 'llvip' / 'train'
    settings = {
        'data': {
            'teacher': str(TEACHER),
            'labels': str(tmp_path / 'labels'),
            'pairs': [{'folder': str(pair), 'names': ['0100[0-1]*'], 'light': 'night'}],
        }
    }
    stage = stage_module.create(from_mapping(stage_module.CONFIG, settings, 'test'))
    images = stage._images
    names = {box.name for each in images for box in each.boxes}
    assert 'person' in names
    assert names <= {*THINGS, IGNORE}
    assert {each.is_thermal for each in images} == {True, False}
    assert {each.light for each in images} == {'night'}
    files = sorted((tmp_path / 'labels').rglob('*.json'))
    assert 2 * len(files) == len(images)
    files[0].write_text('damaged')
    with pytest.raises(InputError, match='remove it'):
        stage_module.create(from_mapping(stage_module.CONFIG, settings, 'test'))


def test_a_made_detector_teaches_as_well(tmp_path: Path) -> None:
    """Its random boxes are worth nothing, but the whole way is gone where the development data is not here."""
    for name in ('dayD', 'darkN'):
        for folder in ('vi', 'ir'):
            image = np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)
            write_image(tmp_path / 'pairs' / folder / f'{name}.png', image)
    settings = {
        'data': {
            'teacher': str(write_yolox(tmp_path / 'yolox.onnx')),
            'labels': str(tmp_path / 'labels'),
            'pairs': [{'folder': str(tmp_path / 'pairs'), 'names': ['*N'], 'light': 'night'}],
            'images': [{'folder': str(tmp_path / 'pairs' / 'vi'), 'light': 'day'}],
        }
    }
    stage = stage_module.create(from_mapping(stage_module.CONFIG, settings, 'test'))
    assert [each.light for each in stage._images] == ['night'] * 2 + ['day'] * 2
    sample = stage.sample(np.random.default_rng(0))
    assert sample['image'].shape == (3, 416, 416)
    absent = {**settings['data'], 'pairs': [{'folder': str(tmp_path / 'pairs'), 'names': ['*X']}]}
    with pytest.raises(InputError, match='none of the names'):
        stage_module.create(from_mapping(stage_module.CONFIG, {'data': absent}, 'test'))


def test_data_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no images here'):
        read_boxed_thermal(tmp_path)
    with pytest.raises(InputError, match='no images'):
        stage_module.create(stage_module.CONFIG())
    with pytest.raises(InputError, match='moon'):
        TaughtFolder('somewhere', place='moon')
