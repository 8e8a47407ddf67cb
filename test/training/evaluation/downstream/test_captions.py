"""Captions of real pairs: measured against what somebody saw, and good enough on pairs never trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
from paths import DATA

pytest.importorskip('torch')

from ldfusion_models.language.facts import Description, Facts, Mention
from ldfusion_models.language.guidance import Captions
from ldfusion_training.cli import main
from ldfusion_training.evaluation.downstream.captions import score_pair, summary, united
from ldfusion_training.language.real_pairs import SeenObject, SeenPair

SEEN = SeenPair(
    'a', 'made', 'validation', (200, 100), 'other', 'night', 'clear', '',
    (
        SeenObject('person', (20, 20, 40, 80), 'left', 8.0),
        SeenObject('car', (120, 40, 180, 80), 'right', 12.0),
        SeenObject('bicycle', (90, 50, 110, 80), 'ahead', 15.0, difficult=True),
        SeenObject('ignore', (0, 0, 15, 30), 'left'),
    ),
)  # fmt: skip


def mention(name: str, box: tuple[float, ...], side: str, score: float = 0.9) -> Mention:
    return Mention(name, side, 9.0, False, score, tuple(each / (200, 100)[i % 2] for i, each in enumerate(box)))


def captions_of(visible: list[Mention], thermal: list[Mention], light: str = '') -> Captions:
    return Captions(
        Description('', Facts('street', light, '', tuple(visible))),
        Description('', Facts('street', '', '', tuple(thermal))),
    )


def test_a_thing_told_by_both_cameras_counts_once() -> None:
    person = (20, 20, 40, 80)
    told = captions_of([mention('person', person, 'left')], [mention('person', (21, 20, 41, 80), 'left', 0.5)])
    assert [each.score for each in united(told)] == [0.9]
    score = score_pair(SEEN, told)
    assert (score.told, score.right, score.sides) == (1, 1, 1)
    assert score.found == {'person': 1}
    assert score.wanted == {'person': 1, 'car': 1}
    assert score.light_right is None


def test_kinds_places_and_ignored_regions() -> None:
    visible = [
        mention('truck', (122, 40, 180, 80), 'ahead'),
        mention('person', (1, 1, 14, 28), 'left'),
        mention('person', (100, 10, 110, 30), 'ahead'),
        mention('chair', (100, 10, 110, 30), 'ahead'),
    ]
    score = score_pair(SEEN, captions_of(visible, [mention('bicycle', (90, 50, 110, 80), 'ahead')], 'day'))
    # A truck for a car is right but for its side; an ignored person and a chair don't count; a bicycle is not wanted.
    assert (score.told, score.right, score.sides) == (3, 2, 1)
    assert score.found == {'car': 1}
    assert score.light_right is False
    values = summary([score])
    assert values['recall'] == pytest.approx(1 / 2)
    assert values['precision'] == pytest.approx(2 / 3)
    assert values['recall low'] == values['recall high'] == pytest.approx(1 / 2)
    assert (values['light'], values['light told']) == (0.0, 1.0)
    assert (values['place'], values['place told']) == (0.0, 1.0), 'a street is told, and it is none'


@pytest.mark.skipif(not (DATA / 'tno').is_dir(), reason='the development data is not here')
def test_the_command_measures_real_pairs_and_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [
        '--json',
        str(tmp_path / 'v.json'),
        '--captions',
        str(tmp_path / 'c.json'),
        '--sheet',
        str(tmp_path / 's.png'),
    ]
    assert main(['evaluate', 'captions', '--pairs', str(DATA), '--every', '5', *outputs]) == 0
    values = json.loads((tmp_path / 'v.json').read_text())
    # Far below what is reached on all pairs: a captioner that invents or sees nothing fails.
    assert values['recall'] > 0.5
    assert values['precision'] > 0.5
    assert len(json.loads((tmp_path / 'c.json').read_text())) == 10
    from ldfusion_models.files import read_image

    assert np.ptp(read_image(tmp_path / 's.png')) > 100
    assert '| recall |' in capsys.readouterr().out


@pytest.mark.parametrize('words', [[], ['--pairs', 'nowhere', '--scenes', 'nowhere'], ['--pairs', 'nowhere']])
def test_bad_words_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate', 'captions', *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
