"""``ldfusion reproduce table3|table4``: hard inputs, effects with intervals, verdicts by rule, and the whole way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')
pytest.importorskip('onnx')

from ldfusion_models.files import read_image, write_image  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.data.pairs import Pair  # noqa: E402
from ldfusion_training.evaluation.claims.conditions import HARD  # noqa: E402
from ldfusion_training.evaluation.claims.effects import MEASURES, claims_in_words, effects, rows_table  # noqa: E402
from ldfusion_training.evaluation.claims.plot import plot  # noqa: E402
from ldfusion_training.evaluation.reproduce import Claim, paper_table  # noqa: E402
from ldfusion_training.metrics import edge_preservation  # noqa: E402

COUNT = 12


def record(change: float = 0.0, hit: bool = True, steps: int = 5) -> dict[str, Any]:
    """A run's record: by pair a different Qabf and SiLog, moved by ``change``, and one person, found or not."""
    generator = np.random.default_rng(0)
    images = []
    for number in range(COUNT):
        found = {'scores': [0.9], 'hits': [hit], 'things': 1}
        value = float(generator.uniform(0.3, 0.8)) + change
        measures = {'Qabf': value, 'SiLog': value, 'AP50 of people': found}
        images.append({'groups': ['all', 'night' if number % 2 else 'day'], 'measures': measures})
    return {'steps': steps, 'parameters': 1000, 'gflop': 1.0, 'images': images}


def found_of(rows: dict[str, list[dict[str, Any]]], row: str, than: str) -> dict[tuple[str, str], Any]:
    return {(effect.group, effect.measure): effect for effect in effects(rows, row, than)}


def test_a_shift_of_every_pair_is_an_effect_without_spread_and_of_the_measures_sign() -> None:
    rows = {'a': [record(0.1), record(0.2), record(0.15)], 'b': [record()] * 3}
    found = found_of(rows, 'a', 'b')
    for group, count in (('all', COUNT), ('day', COUNT / 2), ('night', COUNT / 2)):
        effect = found[group, 'Qabf']
        assert effect.images == count
        np.testing.assert_allclose([effect.difference, effect.low, effect.high], 0.15, atol=1e-12)
        assert effect.shown == 1
        assert found[group, 'SiLog'].shown == -1, 'a larger error is worse'
    assert found_of(rows, 'b', 'a')['all', 'Qabf'].shown == -1
    assert ('all', 'VIF') not in found, 'nothing was measured'


def test_seeds_that_disagree_and_differences_by_chance_show_nothing() -> None:
    disagreeing = found_of({'a': [record(0.1), record(0.1), record(-0.01)], 'b': [record()] * 3}, 'a', 'b')
    assert disagreeing['all', 'Qabf'].low > 0
    assert disagreeing['all', 'Qabf'].shown == 0
    noisy = record(0.001)
    for number, image in enumerate(noisy['images']):
        image['measures']['Qabf'] += 0.1 * (-1) ** number
    effect = found_of({'a': [noisy] * 3, 'b': [record()] * 3}, 'a', 'b')['all', 'Qabf']
    assert effect.low < 0 < effect.high
    assert effect.shown == 0


def test_a_few_images_show_nothing() -> None:
    few, same = record(0.1), record()
    for each in (few, same):
        each['images'] = each['images'][:4]
    assert found_of({'a': [few] * 3, 'b': [same] * 3}, 'a', 'b')['all', 'Qabf'].shown == 0


def test_detections_are_compared_as_average_precision() -> None:
    effect = found_of({'a': [record(hit=True)] * 3, 'b': [record(hit=False)] * 3}, 'a', 'b')['all', 'AP50 of people']
    assert (effect.difference, effect.low, effect.high, effect.shown) == (1.0, 1.0, 1.0, 1)


def test_with_two_seeds_nothing_is_shown() -> None:
    rows = {'a': [record(0.1)] * 2, 'b': [record()] * 2}
    found = effects(rows, 'a', 'b')
    assert not any(effect.shown for effect in found)
    words = claims_in_words([Claim('it helps', 'a', ('b',), 'Qabf', 'all')], rows, found)
    assert 'is not shown' in words
    assert 'fewer than 3 seeds' in words


def test_claims_are_judged_by_all_rows_that_they_name() -> None:
    rows = {'a': [record(0.1)] * 3, 'b': [record()] * 3, 'c': [record(0.3)] * 3, 'd': [record(0.1)] * 3}
    found = [effect for than in 'bcd' for effect in effects(rows, 'a', than)]

    def verdict(*than: str) -> str:
        return claims_in_words([Claim('it helps', 'a', than, 'Qabf', 'all')], rows, found)

    assert verdict('b').startswith('"it helps" is shown: Qabf of a, all, against b +0.1000')
    assert verdict('b', 'd').startswith('"it helps" is not shown')
    assert verdict('b', 'c').startswith('"it helps" is refuted')
    assert 'is not measured whole' in verdict('b', 'absent')
    assert 'against b +0.1000' in verdict('b', 'absent')
    assert 'not equal' not in verdict('b')
    rows['b'] = [record(steps=9)] * 3
    assert 'Steps, parameters or GFLOP are not equal' in verdict('b')
    assert '| a | 3 | 5 | 0.00 | 1.0 |' in rows_table(rows)


def test_every_claim_names_rows_and_measures_that_there_are() -> None:
    for name in ('table3', 'table4'):
        table = paper_table(name)
        rows = {run.name for run in table.runs}
        assert table.claims
        for claim in table.claims:
            assert {claim.row, *claim.than} <= rows
            assert claim.measure in MEASURES


def test_hard_inputs_are_what_they_are_called() -> None:
    generator = np.random.default_rng(0)
    visible = np.full((80, 100, 3), 140, np.uint8)
    visible[30:50, 40:60] = 70
    thermal = np.full((80, 100), 100, np.uint8)
    thermal[40, 50] = 250
    good = Pair(visible, thermal)
    hard = {name: change(good, generator) for name, change in HARD.items()}
    assert (good.visible[0, 0] == 140).all()
    assert np.std(hard['noise'].visible[:20].astype(float)) == pytest.approx(20, rel=0.1)
    assert np.std(hard['noise'].thermal[:20].astype(float)) == pytest.approx(8, rel=0.1)
    assert hard['low light'].visible[:20].mean() == pytest.approx(20, abs=1)
    assert 70 < hard['blur'].visible[40, 40, 0] < 140
    assert (hard['dead rows'].thermal == 0).all(axis=1).sum() == 4
    assert hard['glare'].visible.max() == 255
    assert hard['low-contrast thermal'].thermal[40, 50] - 100 == pytest.approx(25, abs=2)
    moved = hard['misaligned by 2 px'].thermal.astype(float) - 100
    y, x = np.mgrid[:80, :100]
    centre = (moved * y).sum() / moved.sum() - 40, (moved * x).sum() / moved.sum() - 50
    assert np.hypot(*centre) == pytest.approx(2, abs=0.1)


def test_edges_outside_of_the_mask_do_not_count() -> None:
    generator = np.random.default_rng(0)
    first, second, fused = (generator.uniform(0, 255, (60, 60)) for _ in range(3))
    where = np.zeros((60, 60), np.uint8)
    where[:, :30] = 1
    expected = edge_preservation(first, second, fused, where)
    fused[:, 34:] = 0
    assert edge_preservation(first, second, fused, where) == pytest.approx(expected)
    assert edge_preservation(first, second, fused) != pytest.approx(expected)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pairs to train on, two labelled ones of another set, and a detector."""
    from tiny_detection import write_yolox

    folder, generator = tmp_path / 'data', np.random.default_rng(0)
    for name in ('roadscene/train/a', 'llvip/train/b', 'other/val/c', 'other/val/d'):
        place, _, stem = name.rpartition('/')
        image = np.kron(generator.integers(0, 255, (6, 8, 4), np.uint8), np.ones((16, 16, 1), np.uint8))
        write_image(folder / place / f'vi/{stem}.png', np.ascontiguousarray(image[..., :3]))
        write_image(folder / place / f'ir/{stem}.png', np.ascontiguousarray(image[..., 3]))
    thing = {'name': 'person', 'box': [20, 20, 50, 60], 'where': 'left', 'distance_m': 9, 'visible_in': 'both'}
    pair = {
        'split': 'validation',
        'size': [128, 96],
        'place': 'street',
        'light': 'night',
        'weather': 'fog',
        'text': '',
        'counts': {'person': 1},
    }
    pair['objects'] = [{**thing, 'difficult': False}]
    named = [('other/val', 'c'), ('other/val', 'd'), ('roadscene/train', 'a')]
    labelled = [{**pair, 'set': place, 'name': name} for place, name in named]
    (tmp_path / 'truth.json').write_text(json.dumps({'pairs': labelled}))
    write_yolox(folder / 'teachers/yolox_nano.onnx')
    return folder


def test_all_rows_are_trained_measured_and_judged_by_one_command(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('embreex')
    runs, out = tmp_path / 'runs', tmp_path / 'out'
    truth = ['--truth', str(tmp_path / 'truth.json')]
    words = ['--data', str(data), '--runs', str(runs), '--seeds', '1', *truth, '--height', '64']
    assert main(['reproduce', 'table4', *words]) == 2
    assert '--train trains all' in capsys.readouterr().err
    written = ['--json', str(out / 'e.json'), '--markdown', str(out / 'e.md'), '--plot', str(out / 'e.png')]
    assert main(['reproduce', 'table4', *words, '--train', '--trial', *written]) == 0
    report = (out / 'e.md').read_text()
    for row in ('plain', 'autoencoder', 'diffusion', 'diffusion_depth'):
        assert f'\n| {row} | 1 | 2 | ' in report
    assert 'not equal' not in report, 'rows have the same steps, parameters and operations'
    assert '"features of a diffusion model make the fusion better" is ' in report
    found = json.loads((out / 'e.json').read_text())['effects']
    assert {effect['group'] for effect in found} >= {'all', 'night', 'smoke or fog', *HARD, 'hard inputs, mean'}
    assert {effect['measure'] for effect in found} >= {'Qabf', 'Qabf of things', 'AbsRel'}
    assert max(effect['images'] for effect in found if effect['measure'] == 'Qabf') == 2, 'none that was trained on'
    assert read_image(out / 'e.png').std() > 10
    measured = runs / 'ablations/plain/seed_0/measured.json'
    before = measured.stat().st_mtime_ns
    assert main(['reproduce', 'table3', *words]) == 1
    assert 'simulated_depth: 0 of 1 seeds; ldfusion train fusion --config' in capsys.readouterr().err
    assert main(['reproduce', 'table4', *words]) == 0
    assert measured.stat().st_mtime_ns == before, 'what was measured is not measured again'


def test_a_picture_of_effects_has_a_mark_for_each() -> None:
    rows = {'a': [record(0.1)] * 3, 'b': [record()] * 3}
    assert plot(effects(rows, 'a', 'b')).shape[1] > 3 * 210
