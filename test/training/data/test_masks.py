"""Labels tell where the sky is, where the ground, and where a thing meets it."""

from pathlib import Path

import numpy as np
import pytest

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.data.masks import GROUND, OTHER, SKY, THINGS, MaskedSetConfig, feet, read_masked

PERSON, CAR = THINGS, THINGS + 1


def street() -> np.ndarray:
    """48 rows of sky and 48 of ground."""
    roles = np.full((96, 128), SKY, np.uint16)
    roles[48:] = GROUND
    return roles


def test_a_thing_is_as_far_as_the_ground_below_its_lowest_pixel() -> None:
    roles = street()
    roles[30:60, 20:30] = PERSON
    roles[60:62, 24:27] = PERSON
    roles[40:70, 90:120] = CAR
    found = feet(roles)
    assert {*found[roles == PERSON]} == {62 * 128 + 25}
    assert {*found[roles == CAR]} == {70 * 128 + 105}
    assert {*found[(roles == SKY) | (roles == GROUND)]} == {-1}


def test_of_a_row_of_things_only_what_is_above_its_nearest_end_counts() -> None:
    roles = street()
    roles[40:50, 10:110] = CAR
    roles[50:60, 90:110] = CAR
    found = feet(roles)
    assert {*found[40:60, 90:110].ravel()} == {60 * 128 + 100}
    assert {*found[40:50, 10:89].ravel()} == {-1}


def test_of_what_meets_no_ground_nothing_is_known() -> None:
    roles = street()
    roles[60:96, 10:30] = PERSON
    roles[10:30, 50:60] = PERSON
    roles[52:56, 80:88] = PERSON
    roles[60:80, 90:100] = CAR
    roles[80:84, 88:102] = OTHER
    assert (feet(roles) == -1).all()


def labelled(folder: Path, numbers: np.ndarray) -> MaskedSetConfig:
    for name in ('vi', 'label'):
        (folder / name).mkdir()
    write_image(folder / 'vi' / 'a.png', np.full((32, 36, 3), 9, np.uint8))
    write_image(folder / 'label' / 'a.png', numbers)
    return MaskedSetConfig(str(folder), sky=(6,), ground=(0, 1), things=(2, 3))


def test_numbers_become_roles(tmp_path: Path) -> None:
    numbers = np.array([[6, 6, 5, 2, 3, 255], [0, 1, 1, 0, 4, 255]], np.uint8)
    (masked,) = read_masked(labelled(tmp_path, np.tile(numbers, (16, 6))))
    assert masked.image.shape == (32, 36, 3)
    assert masked.roles[0, :6].tolist() == [SKY, SKY, OTHER, PERSON, CAR, OTHER]
    assert masked.roles[1, :6].tolist() == [GROUND, GROUND, GROUND, GROUND, OTHER, OTHER]


def test_labels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no folders vi and label'):
        read_masked(MaskedSetConfig(str(tmp_path)))
    config = labelled(tmp_path, np.zeros((32, 32), np.uint8))
    with pytest.raises(InputError, match=r'label/a.png: uint8 of shape \(32, 32\)'):
        read_masked(config)
    (tmp_path / 'label' / 'a.png').unlink()
    with pytest.raises(InputError, match='no image in vi has a label'):
        read_masked(config)
