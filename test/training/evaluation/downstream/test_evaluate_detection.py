"""``ldfusion evaluate detection`` on real pairs, and the share of white pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from paths import DATA

pytest.importorskip('torch')
pytest.importorskip('onnxruntime')

from ldfusion_training.cli import main
from ldfusion_training.evaluation.downstream.detection import saturation
from ldfusion_training.language.real_pairs import SeenObject, SeenPair

TEACHER = DATA / 'teachers' / 'yolox_nano.onnx'
needs_data = pytest.mark.skipif(not TEACHER.is_file(), reason='needs ../shared/data')


def test_white_pixels_are_counted_in_boxes() -> None:
    grey = np.zeros((20, 20), np.uint8)
    grey[0:5, 0:10] = 250
    grey[10:20, 10:20] = 249
    things = (SeenObject('person', (0, 0, 10, 10), 'left'), SeenObject('car', (10, 10, 20, 20), 'right'))
    seen = SeenPair('a', 'b', 'validation', (20, 20), 'street', 'day', 'clear', '', things)
    assert saturation(grey, seen) == {'person': 0.5, 'car': 0.0}


@needs_data
def test_every_input_is_measured_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ['--detector', str(TEACHER), '--data', str(DATA), '--sets', 'msrs/train', '--every', '4']
    assert main(['evaluate', 'detection', *arguments, '--without-text', '--output', str(tmp_path)]) == 0
    report = json.loads((tmp_path / 'report.json').read_text())
    assert (tmp_path / 'sheet.png').stat().st_size > 10_000
    assert '| average |' in capsys.readouterr().out
    assert {'all', 'msrs'} < set(report['groups'])
    for measured in report['groups']['all'].values():
        assert set(measured['methods']) == {'visible', 'thermal', 'average', 'maximum', 'Laplacian pyramid', 'fused'}
        assert measured['methods'][measured['best_input']]['against_best_input'] == 0
        assert all(0 <= row['ap50'] <= 1 for row in measured['methods'].values())


@needs_data
def test_data_elsewhere_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate', 'detection', '--detector', str(TEACHER), '--data', str(tmp_path)]) == 2
    assert '--data' in capsys.readouterr().err
