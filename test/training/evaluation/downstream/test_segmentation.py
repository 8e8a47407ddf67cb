"""``ldfusion evaluate segmentation``: borders of masks in images made so that the answer is known."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')

from ldfusion_models.files import write_image
from ldfusion_training.cli import main
from ldfusion_training.evaluation.downstream.segmentation import border_seen


def test_a_border_is_seen_where_the_image_has_an_edge() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    image = np.where(mask, 120, 100).astype(np.uint8)
    assert border_seen(image, mask) == 1.0
    image[:, :20] = 100
    # The left half of the thing has vanished: about half of its border.
    assert border_seen(image, mask) == pytest.approx(0.5, abs=0.06)
    assert border_seen(np.full_like(image, 100), mask) == 0.0


def test_ones_own_masks_are_measured_in_every_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A thing that only the thermal camera shows, and one that only the visible camera shows."""
    warm, lit = np.zeros((64, 96), np.uint8), np.zeros((64, 96), np.uint8)
    warm[16:48, 16:32], lit[16:48, 60:80] = 1, 2
    write_image(tmp_path / 'vi/a.png', np.repeat(np.where(lit > 0, 150, 60).astype(np.uint8)[..., None], 3, 2))
    write_image(tmp_path / 'ir/a.png', np.where(warm > 0, 200, 80).astype(np.uint8))
    write_image(tmp_path / 'masks/a.png', warm + lit)
    words = [*(f'--{name}={tmp_path / folder}' for name, folder in (('visible', 'vi'), ('thermal', 'ir')))]
    words += [f'--masks={tmp_path / "masks"}', '--classes', 'ground', 'warm', 'lit', f'--json={tmp_path / "v.json"}']
    assert main(['evaluate', 'segmentation', *words]) == 0
    measured = json.loads((tmp_path / 'v.json').read_text())
    borders = {method: [classes[name][0][0] for name in ('warm', 'lit')] for method, classes in measured.items()}
    assert borders['visible'] == [0.0, 1.0]
    assert borders['thermal'] == [1.0, 0.0]
    assert borders['average'] == borders['fused'] == [1.0, 1.0]
    assert 'edges along borders' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('words', 'reason'),
    [(['--visible=vi'], 'or --visible, --thermal and --masks'), (['--dataset=nowhere'], 'nowhere')],
)
def test_what_is_missing_is_named(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['evaluate', 'segmentation', *words]) == 2
    assert reason in capsys.readouterr().err
