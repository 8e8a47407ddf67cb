"""Labels by teachers: votes, masks, boxes of HIT-UAV, and the detector on real pairs if they are there."""

import json
from pathlib import Path

import pytest
from paths import DATA

pytest.importorskip('onnxruntime')

from ldfusion_models.errors import InputError
from ldfusion_training.data.pairs import PairSource
from ldfusion_training.language.real_pairs import read_real_pairs
from ldfusion_training.language.teacher_labels import (
    Detector,
    TaughtBox,
    VoteConfig,
    agree,
    label_pair,
    overlap,
    read_hit_uav,
)

TEACHER = DATA / 'teachers' / 'yolox_nano.onnx'


def test_boxes_that_agree_are_fused_by_score_and_lonely_ones_dropped() -> None:
    looks = [
        [TaughtBox('car', (0, 0, 10, 10), 0.9), TaughtBox('person', (50, 50, 60, 80), 0.9)],
        [TaughtBox('car', (2, 0, 12, 10), 0.3)],
        [TaughtBox('truck', (0, 0, 10, 10), 0.5)],
    ]
    (found,) = agree(looks, VoteConfig(votes=2))
    assert (found.name, found.votes) == ('car', 2)
    assert found.box == pytest.approx((0.5, 0, 10.5, 10))
    assert found.score == pytest.approx(0.6)


def test_two_things_of_one_look_are_not_one_thing() -> None:
    look = [TaughtBox('person', (0, 0, 10, 30), 0.8), TaughtBox('person', (4, 0, 14, 30), 0.7)]
    assert sorted(box.votes for box in agree([look, look], VoteConfig(votes=2, overlap=0.4))) == [2]
    assert len(agree([look, look], VoteConfig(votes=2, overlap=0.5))) == 2


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (5, 5, 6, 6)) == 0


def test_boxes_of_hit_uav(tmp_path: Path) -> None:
    file = tmp_path / 'a.json'
    file.write_text(json.dumps([['Car', 1, 2, 3, 4], ['DontCare', 0, 0, 9, 9]]))
    assert [box.name for box in read_hit_uav(file)] == ['car', 'ignore']
    file.write_text(json.dumps([['Boat', 1, 2, 3, 4]]))
    with pytest.raises(InputError, match='Boat'):
        read_hit_uav(file)


def test_a_file_that_is_no_detector_is_named(tmp_path: Path) -> None:
    file = tmp_path / 'none.onnx'
    file.write_bytes(b'no model')
    with pytest.raises(InputError, match=r'none\.onnx'):
        Detector(file)


@pytest.mark.skipif(not TEACHER.is_file(), reason='needs ../shared/data/teachers')
def test_the_teacher_finds_the_people_close_by() -> None:
    (pair,) = (pair for pair in read_real_pairs() if pair.name == 'FLIR_07583')
    folder = DATA / pair.set
    images = PairSource(pair.name, folder / 'vi' / f'{pair.name}.jpg', folder / 'ir' / f'{pair.name}.jpg').read()
    found = [box for box in label_pair(Detector(TEACHER), images) if box.name == 'person']
    for seen in pair.objects:
        if seen.name == 'person':
            assert max(overlap(seen.box, box.box) for box in found) > 0.6
