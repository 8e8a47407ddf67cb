"""Language in training: what a text should do, that it is learned, and that no text changes nothing."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')
pytest.importorskip('embreex', reason='simulation casts rays with embreex')

from tiny_detection import write_yolox  # noqa: E402
from tiny_language import write_encoder  # noqa: E402

from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.graph.manifest import load_frame_graph, read_manifest  # noqa: E402
from ldfusion_models.language.text import load_text_encoder  # noqa: E402
from ldfusion_models.mappings import plain  # noqa: E402
from ldfusion_models.networks.fusion import stand_out  # noqa: E402
from ldfusion_models.networks.modulation import LanguageModulation  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.data.simulated import open_simulation  # noqa: E402
from ldfusion_training.evaluation.prompts import labelled_subjects, permutation_test  # noqa: E402
from ldfusion_training.language.named import made_names, most_telling_names, text_of  # noqa: E402
from ldfusion_training.language.prompt_effect import (  # noqa: E402
    contrast_of_things,
    contrast_within,
    mask_of,
)
from ldfusion_training.language.real_pairs import SeenObject, SeenPair, open_labelled  # noqa: E402
from ldfusion_training.runs.trainer import read_checkpoint  # noqa: E402
from ldfusion_training.simulation.scenery.things import CLASSES  # noqa: E402
from ldfusion_training.stages.crops_in_memory import CropConfig  # noqa: E402
from ldfusion_training.stages.modulation import ModulationStage, ModulationStageConfig  # noqa: E402


def disc(size: int = 96, radius: int = 12) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return x**2 + y**2 <= radius**2


def test_contrast_of_a_disc_is_that_of_its_two_levels() -> None:
    mask = disc()
    luma = np.where(mask, 0.6, 0.2).astype(np.float32)
    assert contrast_of_things(luma, mask.astype(np.int32), mask) == pytest.approx([(0.6 - 0.2) / (0.6 + 0.2)])
    darker = np.where(mask, 0.2, 0.6).astype(np.float32)
    assert contrast_of_things(darker, mask.astype(np.int32), mask) == pytest.approx([0.5])
    assert contrast_of_things(luma, disc(radius=2).astype(np.int32), mask) == [], 'too small to tell'


def test_contrast_within_stripes_is_their_relative_deviation() -> None:
    stripes = np.where(np.arange(96) % 4 < 2, 0.3, 0.5)[None].repeat(96, 0).astype(np.float32)
    assert contrast_within(stripes, np.ones((96, 96), bool)) == pytest.approx([0.1 / 0.4], rel=0.03)


def stripes(level: float) -> torch.Tensor:
    """(1, 1, 96, 96): a disc of fine stripes about ``level`` on an even 0.4."""
    image = np.where(disc(), level + 0.02 * (np.arange(96) % 2 * 2 - 1), 0.4).astype(np.float32)
    return torch.from_numpy(image)[None, None]


@pytest.mark.parametrize('level', [0.6, 0.2])
def test_what_is_named_stands_out_more_and_the_rest_stays(level: float) -> None:
    luma, named = stripes(level), torch.zeros(1, 1, 12, 12)
    named[..., 4:8, 4:8] = 1.0
    added = stand_out(luma, named, 8)
    grey, mask = (luma + added)[0, 0].numpy(), disc()
    far = np.ones((96, 96), bool)
    far[16:80, 16:80] = False
    assert not added[0, 0].numpy()[far].any()
    before, after = (contrast_of_things(each, mask.astype(np.int32), mask)[0] for each in (luma[0, 0].numpy(), grey))
    assert after > 1.1 * before
    assert grey[mask].std() > 1.2 * 0.02, 'its own detail, too'
    assert not stand_out(luma, torch.zeros_like(named), 8).any()


def test_what_is_bright_does_not_become_white() -> None:
    luma, named = stripes(0.97), torch.ones(1, 1, 12, 12)
    grey = (luma + stand_out(luma, named, 8))[0, 0].numpy()
    assert grey.max() < 0.99
    # Its surroundings give way instead.
    assert contrast_of_things(grey, disc().astype(np.int32), disc())[0] > (0.97 - 0.4) / (0.97 + 0.4)


def test_words_mean_classes() -> None:
    numbers = np.arange(len(CLASSES), dtype=np.uint8)[None]
    assert [CLASSES[n] for n in np.flatnonzero(mask_of(['tree', 'person'], numbers))] == ['tree', 'bush', 'person']
    assert not mask_of(['unicorn'], numbers).any()


def test_each_text_picks_its_thing_by_what_is_around_it() -> None:
    """Two spots with the same features; one text is to name the one with a neighbour, another text the other."""
    torch.manual_seed(2)
    modulation = LanguageModulation(text_dim=2, channels=4, wide=8, classes=2)
    spots = torch.zeros(1, 4, 16, 16)
    spots[:, 0, 4, 4] = spots[:, 0, 12, 12] = 1.0
    spots[:, 1, 12, 9] = 1.0
    classes = torch.zeros(1, 2, 16, 16)
    classes[0, 0, 12, 12] = classes[0, 1, 4, 4] = 1.0
    texts = torch.eye(2)
    assert not modulation(spots, texts[:1]).any(), 'untrained'
    optimizer = torch.optim.Adam(modulation.parameters(), 0.01)
    for _ in range(400):
        logits, (sigma, mu) = modulation.context(spots), modulation.semantics.of_text(texts)
        error = torch.nn.functional.binary_cross_entropy_with_logits(logits, classes, weight=1 + 20 * classes)
        loss = error + ((sigma - torch.eye(2)) ** 2 + mu**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        first, second = (modulation(spots, text[None])[0, 0] for text in texts)
        assert first[12, 12] > 0.7 > 0.3 > first[4, 4]
        assert second[4, 4] > 0.7 > 0.3 > second[12, 12]
        assert modulation(spots, 0.2 * texts[:1])[0, 0, 12, 12] == pytest.approx(0.2 * first[12, 12].item(), rel=1e-3)
        assert not modulation(spots, torch.zeros(1, 2)).any(), 'no text'


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated frames."""
    folder = tmp_path_factory.mktemp('simulated') / 'data'
    words = ['--scenes', '2', '--frames', '1', '--size', '160x120', '--kinds', 'street', '--output', str(folder)]
    assert main(['simulate', *words]) == 0
    return folder


def test_names_are_of_what_is_there_and_texts_say_them(dataset: Path) -> None:
    for frame in open_simulation(dataset):
        names = most_telling_names(frame)
        assert names
        assert set(names) <= {each['class'] for each in frame.read_text()['objects']}
    assert text_of(('person', 'road markings')) == 'people and road markings'
    made = made_names(200, 0)
    assert {len(names) for names in made} == {1, 2, 3, 4}
    assert sum('person' in names or 'car' in names for names in made) > 40


@pytest.fixture(scope='module')
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real pair's layout, and the detector's boxes of it as they are kept: a person, and somewhere who knows what."""
    folder = tmp_path_factory.mktemp('real') / 'town' / 'train'
    for name, image in (('vi', np.full((96, 128, 3), 90, np.uint8)), ('ir', np.full((96, 128), 60, np.uint8))):
        (folder / name).mkdir(parents=True)
        assert cv2.imwrite(str(folder / name / '1.png'), image)
    boxes = [['person', 32, 24, 48, 64, 0.9, 5], ['ignore', 80, 0, 128, 96, 0.3, 1]]
    labels = folder.parents[1] / 'labels' / 'town' / 'train'
    labels.mkdir(parents=True)
    (labels / '1.json').write_text(json.dumps(boxes))
    write_yolox(folder.parents[1] / 'detector.onnx')
    return folder


def crop_config(dataset: Path, street: Path, **settings: Any) -> CropConfig:
    """One crop of each, at the pair's own scale; the labels are there, so the detector is only loaded."""
    labels, detector = str(street.parents[1] / 'labels'), str(street.parents[1] / 'detector.onnx')
    values = {'folders': (str(dataset),), 'crops': 1, 'real': (str(street),), 'real_crops': 1, 'crop': 96}
    return CropConfig(**{**values, 'labels': labels, 'detector': detector, 'zoom': (1.0, 1.0), **settings})


def test_of_real_pairs_people_and_vehicles_are_known_where_the_detector_is_sure(
    dataset: Path, street: Path, tmp_path: Path
) -> None:
    encoder = load_text_encoder(str(write_encoder(tmp_path / 'clip')))
    stage = ModulationStage(ModulationStageConfig(context=8, texts=40, data=crop_config(dataset, street)), encoder)
    simulated, real = (crops[0] for crops in stage.crops)
    assert simulated.known.all()
    assert len({CLASSES[row] for row in np.flatnonzero(simulated.cells.any(axis=(1, 2)))} & {'road', 'building'}) == 2
    taught = [CLASSES.index(name) for name in ('person', 'car', 'truck', 'bicycle')]
    person = real.cells[CLASSES.index('person')]
    assert np.array_equal(np.flatnonzero(real.cells.any(axis=(1, 2))), [CLASSES.index('person')])
    assert 2 * 5 <= person.sum() <= 3 * 6, 'a box of 16 x 40 pixels, wherever the crop begins'
    assert np.array_equal(np.flatnonzero(real.known.any(axis=(1, 2))), sorted(taught))
    assert not real.known[taught][:, person].all() or real.known[taught].mean() < 1.0, 'the box that is not sure'


def test_errors_count_only_where_something_is_known(dataset: Path, street: Path, tmp_path: Path) -> None:
    encoder = load_text_encoder(str(write_encoder(tmp_path / 'clip')))
    data = crop_config(dataset, street, real=(), real_crops=0)
    stage = ModulationStage(ModulationStageConfig(context=8, texts=40, data=data), encoder)
    sample = stage.sample(np.random.default_rng(0))
    batch = {name: torch.from_numpy(np.asarray(array))[None] for name, array in sample.items()}
    with torch.no_grad():
        told = stage(batch)
        batch['cells'][:, CLASSES.index('road')] = 1.0 - batch['cells'][:, CLASSES.index('road')]
        other = stage(batch)
        batch['known'][:, CLASSES.index('road')] = 0.0
        unknown = stage(batch)
        batch['cells'][:, CLASSES.index('road')] = 1.0 - batch['cells'][:, CLASSES.index('road')]
        assert other['cells'] != told['cells']
        assert stage(batch)['cells'] == unknown['cells'], 'whether there is a road is not known'


def test_of_labelled_pairs_things_and_the_rest_are_measured(tmp_path: Path) -> None:
    image = np.full((96, 128), 80, np.uint8)
    image[20:60, 40:60] = 160
    for kind in ('vi', 'ir'):
        (tmp_path / 'town' / kind).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / 'town' / kind / '1.png'), image)
    person = SeenObject('person', (40, 20, 60, 60), 'ahead', 5.0)
    seen = SeenPair('1', 'town', 'training', (128, 96), 'street', 'day', 'clear', '', (person,))
    (subject,) = labelled_subjects(open_labelled([seen], tmp_path))
    assert set(subject.contrasts) == {'person', 'rest'}
    luma = image.astype(np.float32) / 255
    assert subject.contrasts['person'](luma) == pytest.approx([(160 - 80) / (160 + 80)], rel=0.05)
    assert subject.contrasts['rest'](luma) == pytest.approx([0.0], abs=1e-3), 'nothing of the person'


def test_chance_of_paired_differences() -> None:
    assert permutation_test(np.array([0.1] * 4)) == pytest.approx(2 / 16, abs=0.005), 'all of one sign'
    assert permutation_test(np.array([0.1, -0.1, np.nan])) == pytest.approx(1.0)
    assert permutation_test(np.full(20, 0.01)) < 1e-4


def test_crops_of_nothing_are_refused(dataset: Path, street: Path) -> None:
    with pytest.raises(InputError, match='both or neither'):
        crop_config(dataset, street, real_crops=0)
    with pytest.raises(InputError, match='multiple of 16'):
        crop_config(dataset, street, crop=100)


def test_trained_modulation_is_released_with_its_encoder_and_changes_nothing_without_text(
    dataset: Path, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = load_text_encoder(str(write_encoder(tmp_path / 'clip')))
    recipe = tmp_path / 'modulation.yaml'
    settings = {
        'text_encoder': str(tmp_path / 'clip'),
        'trainer': {'steps': 4, 'batch_size': 2, 'warmup': 1, 'checkpoint_every': 2, 'learning_rate': 0.01},
        'data': plain(asdict(crop_config(dataset, street, relit=0.5))),
        'context': 8,
        'texts': 40,
    }
    recipe.write_text(yaml.safe_dump(settings))
    run = tmp_path / 'run'
    assert main(['train', 'modulation', '--config', str(recipe), '--output', str(run)]) == 0
    assert (run / 'picture.png').is_file()
    words = ['release', '--checkpoint', str(run / 'checkpoint.pt'), '--part', 'fusion']
    weights = tmp_path / 'weights'
    assert main([*words, '--output', str(weights)]) == 0
    assert read_manifest(weights).text_encoder == encoder.name
    graph, _ = load_frame_graph(weights)
    shipped, _ = load_frame_graph()
    visible, thermal = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    features = shipped.extractor(visible, thermal)
    text = torch.zeros(1, encoder.dim)
    with torch.inference_mode():
        without = shipped.fusion(visible, thermal, features, text)
        assert torch.equal(graph.fusion(visible, thermal, features, text), without)
        assert graph.fusion.modulation.semantics.parameters_of_text.weight.any()
    assert graph.config.fusion.context == 8
    # After a new fusion, another run goes on with the modulation of this one.
    again = ['train', 'modulation', '--config', str(recipe), '--output', str(tmp_path / 'again')]
    assert main([*again, '--set', f'initial_run={run / "checkpoint.pt"}', '--set', 'trainer.learning_rate=0.0']) == 0
    kept, first = (read_checkpoint(folder / 'checkpoint.pt')['average'] for folder in (tmp_path / 'again', run))
    assert all(torch.equal(kept[name], first[name]) for name in first)
    other = ['--set', f'initial_run={run / "checkpoint.pt"}', '--set', 'context=4']
    assert main([*again[:-1], str(tmp_path / 'other'), *other]) == 2
    assert 'does not hold fusion.modulation weights of this configuration' in capsys.readouterr().err

    # What was released is measured by the commands, with the encoder it was trained with and no other.
    table = tmp_path / 'table.json'
    options = ['--dataset', str(dataset), '--weights', str(weights), '--text-encoder', str(tmp_path / 'clip')]
    assert main(['evaluate', 'prompts', *options, '--prompts', 'people', 'road', '--json', str(table)]) == 0
    assert '| people |' in capsys.readouterr().out
    values = yaml.safe_load(table.read_text())
    assert values['relative_contrast']['no text']['car'] == 1.0
    assert main(['evaluate', 'prompts', *options, '--wordings', '--json', str(table)]) == 0
    assert 'Of 40,' in capsys.readouterr().out
    assert len(yaml.safe_load(table.read_text())) == 40
    assert main(['evaluate', 'guidance', *options, '--json', str(table)]) == 0
    assert set(yaml.safe_load(table.read_text())) == {'none', 'own', 'shuffled', 'own against shuffled'}
    other = ['--text-encoder', str(write_encoder(tmp_path / 'other'))]
    assert main(['evaluate', 'prompts', *options[:-2], *other]) == 2
    assert 'these weights need' in capsys.readouterr().err
