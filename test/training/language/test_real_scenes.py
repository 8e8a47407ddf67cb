"""What the captioner learns of real images: KITTI's labels, and places that somebody knows."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from paths import DATA

pytest.importorskip('torch')
pytest.importorskip('accelerate')

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_models.graph.manifest import from_mapping
from ldfusion_training.language.captions import caption, opening_tokens
from ldfusion_training.language.cells import classes_in_cells
from ldfusion_training.language.facts import Facts, Mention
from ldfusion_training.language.real_scenes import KnownPlace, read_kitti_labels, read_kitti_scenes
from ldfusion_training.language.scenes import facts_seen
from ldfusion_training.runs.trainer import train
from ldfusion_training.stages import captioner as stage_module
from ldfusion_training.stages.captioner import CaptionDataConfig

# A wide image, 400 x 150 pixels: two windows of 200 pixels.
LABELS = """\
Car 0.00 0 1.57 20.00 60.00 60.00 90.00 1.50 1.80 4.00 -5.00 1.60 20.00 1.5707963
Van 0.00 1 0.00 85.00 70.00 105.00 85.00 2.00 1.80 5.00 0.10 1.60 32.90 0.0
Pedestrian 0.00 0 0.00 280.00 50.00 300.00 120.00 1.80 0.60 0.80 1.00 1.60 8.30 3.1415927
Cyclist 0.00 0 0.00 390.00 60.00 399.00 110.00 1.80 0.60 1.80 4.00 1.60 12.90 -1.5707963
Tram 0.00 0 0.00 100.00 10.00 200.00 90.00 3.00 2.50 15.0 -2.00 1.60 40.00 1.57
DontCare -1 -1 -10 310.00 60.00 380.00 100.00 -1 -1 -1 -1000 -1000 -1000 -10
"""


def write_kitti(folder: Path, layout: str) -> Path:
    image = np.full((150, 400, 3), 90, np.uint8)
    if layout == 'sample':
        images, labels, camera = 'vi', 'label', 'camera/a.json'
        content = json.dumps({'width': 400, 'height': 150, 'fx': 240.0, 'fy': 240.0, 'cx': 200.0, 'cy': 75.0})
    else:
        images, labels, camera = 'image_2', 'label_2', 'calib/a.txt'
        content = 'P0: 1 0 0\nP2: 240.0 0 200.0 45 0 240.0 75.0 0 0 0 1 0\n'
    write_image(folder / images / 'a.png', image)
    for path, text in ((folder / labels / 'a.txt', LABELS), (folder / camera, content)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize('layout', ['sample', 'kitti'])
def test_labels_become_the_facts_that_a_person_reads_from_them(layout: str, tmp_path: Path) -> None:
    left, right = read_kitti_scenes([write_kitti(tmp_path, layout)])
    seen = facts_seen(left, thermal=False)
    # Seen from behind the car's near side is half its length nearer; from the side the van's is half its width nearer.
    assert caption(seen, thermal=False) == 'Day street. A car on the left at 18 m. A car ahead at 32 m.'
    assert [each.distance_m for each in seen.mentions] == pytest.approx([18.0, 32.0])
    # In the window on the right from column 200 on, the person's middle is at 0.45 and the cyclist's at 0.98.
    assert facts_seen(right, thermal=False).mentions == (
        Mention('person', 'ahead', pytest.approx(8.0)),
        Mention('bicycle', 'right', pytest.approx(12.0)),
    )
    assert left.focal == pytest.approx(240.0 * 320 / 200)
    assert not left.has_thermal


@pytest.mark.parametrize('turn', [-3.0, -1.2, -0.4, 0.0, 0.8, 1.6, 2.5])
def test_the_distance_of_a_label_is_that_of_its_nearest_corner(turn: float, tmp_path: Path) -> None:
    """A box drawn corner by corner, 4.2 m long and 1.7 m wide, its middle 15 m ahead."""
    length, width, middle = 4.2, 1.7, 15.0
    corners = [
        middle - along * np.sin(turn) + across * np.cos(turn)
        for along in (-length / 2, length / 2)
        for across in (-width / 2, width / 2)
    ]
    label = tmp_path / 'a.txt'
    label.write_text(f'Car 0.00 0 0.00 20.00 60.00 60.00 90.00 1.50 {width} {length} 0.30 1.60 {middle} {turn}\n')
    (found,) = read_kitti_labels(label)
    assert found.distance_m == pytest.approx(min(corners))


@pytest.mark.skipif(not (DATA / 'kitti' / 'train' / 'label').is_dir(), reason='the development data is not here')
def test_real_labels_agree_with_what_the_laser_measured() -> None:
    told = {scene.name: facts_seen(scene, thermal=False) for scene in read_kitti_scenes([DATA / 'kitti' / 'train'])}
    people = [each for name, facts in told.items() if 'object_000000' in name for each in facts.mentions]
    cars = [each for name, facts in told.items() if 'object_000003' in name for each in facts.mentions]
    # Nearest returns within the boxes: 8.3 m and 11.4 m.
    assert {each.name for each in people} == {'person'}
    assert {each.name for each in cars} == {'car'}
    assert all(each.distance_m == pytest.approx(8.3, abs=0.3) for each in people)
    assert all(each.distance_m == pytest.approx(11.4, abs=0.4) for each in cars)


def test_only_what_is_known_of_a_place_is_to_be_learned() -> None:
    random = np.random.default_rng(0)
    words, known = opening_tokens(random, Facts('parking lot'), thermal=False)
    assert words[0] in ('day', 'dusk', 'night')
    assert (words[1:], known) == (['parking', 'lot'], [False, True, True])
    told = opening_tokens(random, Facts('street', 'night', 'smoke'), thermal=False)
    assert told == (['night', 'street', 'in', 'smoke', '.'], [True] * 5)
    assert opening_tokens(random, Facts('street'), thermal=True) == (['infrared', 'street', '.'], [True] * 3)


def test_the_captioner_learns_from_simulated_labelled_and_known_images_at_once(tmp_path: Path) -> None:
    pytest.importorskip('embreex', reason='simulation casts rays with embreex')
    from ldfusion_training.cli import main

    simulated = tmp_path / 'simulated'
    words = ['--scenes', '1', '--frames', '1', '--size', '160x120', '--kinds', 'corridor', '--output', str(simulated)]
    assert main(['simulate', *words]) == 0
    for folder in ('vi', 'ir'):
        write_image(tmp_path / 'pairs' / folder / 'a.png', np.full((90, 120), 40, np.uint8))
    settings = {
        'trainer': {'batch_size': 8, 'warmup': 1, 'checkpoint_every': 30, 'steps': 30, 'learning_rate': 0.01},
        'data': {
            'folders': [str(simulated)],
            'kitti': [str(write_kitti(tmp_path / 'kitti', 'kitti'))],
            'places': [{'folder': str(tmp_path / 'pairs'), 'place': 'street', 'light': 'night'}],
            'kitti_part': 0.3,
            'places_part': 0.4,
        },
        'network': {'channels': 16, 'heads': 2, 'layers': 1, 'mixers': 1},
    }
    config = from_mapping(stage_module.CONFIG, settings, 'test')
    stage = stage_module.create(config)
    assert isinstance(stage, stage_module.CaptionerStage)
    vocabulary = stage.config.network.vocabulary
    learned = {
        ' '.join(vocabulary[number] for number in item.tokens[item.learned])
        for item in stage._items
        if not item.modality
    }
    assert 'night street' in learned, 'nothing but the opening of a pair without labels'
    assert any(text.startswith('day street . a car on the') and not text.endswith('<end>') for text in learned)
    losses = [report.losses['tokens'] for report in train(stage, config.trainer, tmp_path / 'run')]
    assert losses[-1] < 0.7 * losses[0]
    continued = dataclasses.replace(config, initial_weights=str(tmp_path / 'run' / 'checkpoint.pt'))
    first = next(iter(train(stage_module.create(continued), config.trainer, tmp_path / 'again')))
    assert first.losses['tokens'] < 0.7 * losses[0], 'it goes on from where the other run ended'


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('label_2/a.txt', 'Car 0.00 0 1.57 20.00', 'KITTI object labels'),
        ('label_2/a.txt', LABELS.replace('20.00 60.00', 'here 60.00'), 'KITTI object labels'),
        ('calib/a.txt', 'P0: 1 0 0', 'P2'),
    ],
)
def test_damaged_labels_are_skipped_with_a_word(
    name: str, content: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_kitti(tmp_path, 'kitti')
    (folder / name).write_text(content)
    assert read_kitti_scenes([folder]) == []
    assert words in caplog.text


def test_folders_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no labels'):
        read_kitti_scenes([tmp_path])
    folder = write_kitti(tmp_path / 'kitti', 'sample')
    (folder / 'vi' / 'a.png').unlink()
    with pytest.raises(InputError, match=r'a\.txt: no image'):
        read_kitti_scenes([folder])
    with pytest.raises(InputError, match=r"place 'beach' is unknown"):
        KnownPlace('folder', 'beach')
    with pytest.raises(InputError, match='no setting'):
        from_mapping(stage_module.CONFIG, {'data': {'places': [{'folder': 'a', 'spot': 'street'}]}}, 'recipe')


def test_cells_hold_what_fills_at_least_a_sixteenth_of_them() -> None:
    classes = np.zeros((16, 24), np.uint8)
    classes[0:2, 0:2] = 1  # 4 of 64 pixels
    classes[8, 8:11] = 2  # 3 of 64
    shown = classes_in_cells(classes, 3)
    assert shown.shape == (3, 2, 3)
    assert shown[0].all()
    assert shown[1].sum() == 1
    assert shown[1, 0, 0]
    assert not shown[2].any()


@pytest.mark.parametrize('data', [{'kitti': ['somewhere']}, {'places_part': 0.2}])
def test_data_that_would_not_be_drawn_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(InputError, match='both or neither'):
        from_mapping(CaptionDataConfig, data, 'test')
