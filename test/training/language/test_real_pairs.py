"""The labels of real pairs: schema, splits, and the images they speak of."""

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from paths import DATA

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.pairs import PairSource
from ldfusion_training.language.real_pairs import FILE, read_real_pairs, unlabelled


def test_fifty_pairs_are_for_validation_only() -> None:
    pairs = read_real_pairs()
    assert Counter(pair.split for pair in pairs) == {'validation': 50, 'training': 30}
    assert {pair.split for pair in pairs if pair.set.endswith('/val')} == {'validation'}
    assert {pair.light for pair in pairs if pair.split == 'validation'} == {'day', 'dusk', 'night'}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'light': 'noon'}, 'light is'),
        ({'place': 'moon'}, 'place is'),
        ({'split': 'test'}, 'split is'),
        ({'counts': {'car': 7}}, 'counts are'),
        ({'size': [100, 100]}, 'outside 100x100'),
        ({'objects': [{'name': 'car'}]}, 'box'),
        ({'objects': None}, 'wrong kind'),
    ],
)
def test_a_broken_entry_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    entry = copy.deepcopy(json.loads(FILE.read_text())['pairs'][0]) | change
    file = tmp_path / 'pairs.json'
    file.write_text(json.dumps({'pairs': [entry]}))
    with pytest.raises(InputError, match=message) as error:
        read_real_pairs(file)
    assert 'pair 0' in str(error.value)


def test_a_pair_is_labelled_once(tmp_path: Path) -> None:
    entry = json.loads(FILE.read_text())['pairs'][0]
    file = tmp_path / 'pairs.json'
    file.write_text(json.dumps({'pairs': [entry, entry | {'split': 'training'}]}))
    with pytest.raises(InputError, match='labelled twice'):
        read_real_pairs(file)


def test_no_labelled_pair_is_trained_on() -> None:
    """Of either split, by set and name; the same name in another set is another pair."""
    for seen in read_real_pairs()[::20]:
        sources = [PairSource(name, Path(), Path()) for name in (seen.name, 'another')]
        assert [each.name for each in unlabelled(sources, Path('data') / seen.set)] == ['another']
        assert len(unlabelled(sources, Path('data/elsewhere'))) == 2


@pytest.mark.skipif(not (DATA / 'roadscene').is_dir(), reason='needs ../shared/data')
def test_the_images_are_there_and_of_that_size() -> None:
    for pair in read_real_pairs():
        for folder in ('vi', 'ir'):
            (file,) = (DATA / pair.set / folder).glob(f'{pair.name}.*')
            assert read_image(file).shape[1::-1] == pair.size
