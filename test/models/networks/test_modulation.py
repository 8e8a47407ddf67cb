"""Language in training: what a text should do, that it is learned, and that no text changes nothing."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')
pytest.importorskip('embreex', reason='simulation casts rays with embreex')

from tiny_language import write_encoder  # noqa: E402

from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.graph.manifest import load_frame_graph, read_manifest  # noqa: E402
from ldfusion_models.language.text import load_text_encoder  # noqa: E402
from ldfusion_models.networks.modulation import Emphasis  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.data.simulated import open_simulation  # noqa: E402
from ldfusion_training.language.pair_texts import FILE, read_texts  # noqa: E402
from ldfusion_training.language.prompt_effect import (  # noqa: E402
    contrast_of_things,
    contrast_within,
    hot_spots,
    mask_of,
    raise_contrast,
)
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


@pytest.mark.parametrize('level', [0.55, 0.3])
def test_what_is_named_stands_out_more_and_the_rest_stays(level: float) -> None:
    mask = disc()
    fused = np.where(mask, level, 0.4).astype(np.float32)[None].repeat(3, 0)
    target = raise_contrast(fused, mask, gain=1.5, reach=12.0)
    assert np.array_equal(target[:, ~mask], fused[:, ~mask])
    # Some of the disc itself counts as its surroundings, the more the nearer its middle.
    assert target[0][mask].mean() - 0.4 == pytest.approx(1.5 * (level - 0.4), rel=0.1)


def test_words_mean_classes() -> None:
    numbers = np.arange(len(CLASSES), dtype=np.uint8)[None]
    assert [CLASSES[n] for n in np.flatnonzero(mask_of(['tree', 'person'], numbers))] == ['tree', 'bush', 'person']
    assert not mask_of(['unicorn'], numbers).any()


def test_hot_spots_are_upright_and_warm() -> None:
    thermal = np.full((120, 160), 60, np.uint8)
    thermal[40:70, 30:40] = 200
    thermal[90:96, 60:120] = 200
    spots = hot_spots(thermal)
    assert np.array_equal(spots > 0, (thermal == 200) & (np.arange(120) < 80)[:, None])


def test_each_text_picks_its_thing_by_what_is_around_it() -> None:
    """Two spots with the same features; one text is to change the one with a neighbour, another text the other."""
    torch.manual_seed(2)
    emphasis = Emphasis(text_dim=2, channels=4, wide=8, decisions=3)
    spots = torch.zeros(2, 4, 16, 16)
    spots[:, 0, 4, 4] = spots[:, 0, 12, 12] = 1.0
    spots[:, 1, 12, 9] = 1.0
    wanted = torch.zeros(2, 3, 16, 16)
    wanted[0, 1, 12, 12] = wanted[1, 1, 4, 4] = 1.0
    texts = torch.eye(2)
    assert torch.equal(emphasis(spots, texts), torch.zeros_like(wanted)), 'untrained'
    optimizer = torch.optim.Adam(emphasis.parameters(), 0.01)
    for _ in range(300):
        loss = ((emphasis(spots, texts) - wanted) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        change = emphasis(spots, texts)
        assert change[0, 1, 12, 12] > 0.7 > 0.3 > change[0, 1, 4, 4]
        assert change[1, 1, 4, 4] > 0.7 > 0.3 > change[1, 1, 12, 12]
        assert torch.equal(emphasis(spots, torch.zeros(2, 2)), torch.zeros_like(wanted)), 'no text'


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated frames with texts from their labels."""
    folder = tmp_path_factory.mktemp('simulated') / 'data'
    words = ['--scenes', '2', '--frames', '1', '--size', '160x120', '--kinds', 'street', '--output', str(folder)]
    assert main(['simulate', *words]) == 0
    assert main(['caption', '--dataset', str(folder), '--labels']) == 0
    return folder


def test_texts_lie_beside_the_data_and_name_what_is_there(dataset: Path) -> None:
    texts = read_texts(dataset)
    frames = open_simulation(dataset)
    assert list(texts) == [frame.name for frame in frames]
    for frame in frames:
        kinds = [text.kind for text in texts[frame.name]]
        assert kinds == ['caption', 'description'] + ['prompt'] * 8
        seen = {each['class'] for each in frame.read_text()['objects']}
        assert set(texts[frame.name][0].names) <= seen
        assert all(text.names for text in texts[frame.name] if text.kind == 'prompt')


@pytest.fixture(scope='module')
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real pair's layout: somebody warm on an even street."""
    folder = tmp_path_factory.mktemp('real')
    warm = np.full((96, 96), 60, np.uint8)
    warm[30:60, 40:50] = 150
    for name, image in (('vi', np.full((96, 96, 3), 90, np.uint8)), ('ir', warm)):
        (folder / name).mkdir()
        assert cv2.imwrite(str(folder / name / '1.png'), image)
    return folder


def test_of_real_pairs_people_are_known_and_nothing_else(dataset: Path, street: Path, tmp_path: Path) -> None:
    encoder = load_text_encoder(str(write_encoder(tmp_path / 'clip')))
    data = CropConfig(folders=(str(dataset),), crops=1, crop=64, real=(str(street),), real_crops=1)
    stage = ModulationStage(ModulationStageConfig(context=8, data=data), encoder)
    person = CLASSES.index('person')
    warm = stage.crops[1].thermal[0] > 0.5
    assert 0 < warm.sum() <= 300
    stage.crops = stage.crops[1:]
    samples = [stage.sample(np.random.default_rng(number)) for number in range(20)]
    about_people = [sample for sample in samples if sample['named'].any()]
    assert 0 < len(about_people) < len(samples)
    for sample in samples:
        told = sample['named'].any()
        assert np.array_equal(sample['weight'][0] > 0, warm | told), 'a pixel that is no person may be what is named'
        assert np.array_equal(sample['named'][0] > 0, warm & told)
        changed = (sample['target'] != sample['plain']).any(axis=0)
        assert changed.any() == told
        assert not changed[~warm].any()
        assert np.array_equal(np.flatnonzero(sample['cells_weight'].any(axis=(1, 2))), [person])
        assert np.array_equal(np.flatnonzero(sample['cells'].any(axis=(1, 2))), [person])


def test_real_pairs_without_people_and_small_images_are_refused(dataset: Path, street: Path, tmp_path: Path) -> None:
    cold = tmp_path / 'cold'
    shutil.copytree(street, cold)
    assert cv2.imwrite(str(cold / 'ir' / '1.png'), np.full((96, 96), 60, np.uint8))
    data = CropConfig(folders=(str(dataset),), crops=1, crop=64, real=(str(cold),), real_crops=1)
    encoder = load_text_encoder(str(write_encoder(tmp_path / 'clip')))
    with pytest.raises(InputError, match='real pairs with people'):
        ModulationStage(ModulationStageConfig(data=data), encoder)
    with pytest.raises(InputError, match='both or neither'):
        CropConfig(folders=(str(dataset),), real=(str(street),))
    data = CropConfig(folders=(str(dataset),), crops=1, crop=128)
    with pytest.raises(InputError, match=r'160x120 pixels is smaller than data\.crop=128'):
        ModulationStage(ModulationStageConfig(data=data), encoder)


@pytest.mark.parametrize('content', [None, 'not JSON', '{"a": [{}]}'])
def test_texts_that_cannot_be_read_are_named(content: str | None, tmp_path: Path) -> None:
    if content:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(InputError, match=f'{FILE}.*ldfusion caption'):
        read_texts(tmp_path)


def test_trained_modulation_is_released_with_its_encoder_and_changes_nothing_without_text(
    dataset: Path, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = load_text_encoder(str(write_encoder(tmp_path / 'clip')))
    recipe = tmp_path / 'modulation.yaml'
    settings = {
        'text_encoder': str(tmp_path / 'clip'),
        'trainer': {'steps': 4, 'batch_size': 2, 'warmup': 1, 'checkpoint_every': 2, 'learning_rate': 0.01},
        'data': {
            'folders': [str(dataset)],
            'crops': 2,
            'real': [str(street)],
            'real_crops': 1,
            'crop': 64,
            'relit': 0.5,
        },
        'context': 8,
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
    text = torch.from_numpy(encoder.encode(['people']))
    with torch.inference_mode():
        plain = shipped.fusion(visible, thermal, features, torch.zeros_like(text))
        assert torch.equal(graph.fusion(visible, thermal, features, torch.zeros_like(text)), plain)
        assert not torch.equal(graph.fusion(visible, thermal, features, text), plain)
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
    assert main(['evaluate', 'guidance', *options, '--json', str(table)]) == 0
    assert set(yaml.safe_load(table.read_text())) == {'none', 'own', 'shuffled'}
    other = ['--text-encoder', str(write_encoder(tmp_path / 'other'))]
    assert main(['evaluate', 'prompts', *options[:-2], *other]) == 2
    assert 'these weights need' in capsys.readouterr().err
