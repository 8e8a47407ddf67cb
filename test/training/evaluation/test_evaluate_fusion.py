"""``ldfusion evaluate fusion`` and the baselines, from files to tables."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ldfusion_models.files import read_image, write_image
from ldfusion_training.cli import main
from ldfusion_training.evaluation.baselines import BASELINES
from ldfusion_training.metrics import evaluate_fusion, to_grey

HEIGHT, WIDTH = 64, 80


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(20, 200, (2, HEIGHT // 8, WIDTH // 8), np.uint8)
    visible, thermal = (cv2.resize(values, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for values in coarse)
    return np.stack([visible, visible // 2 + 40, 255 - visible], axis=2), thermal


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for index, name in enumerate(('a', 'b')):
        visible, thermal = scene(index)
        write_image(tmp_path / f'vi/{name}.png', visible)
        write_image(tmp_path / f'ir/{name}.png', thermal)
        write_image(tmp_path / f'peers/Grey/{name}.png', to_grey(visible) // 2 + thermal // 2)
        write_image(tmp_path / f'ours/fused/{name}.png', visible)
    return tmp_path


def evaluate(folder: Path, *more: str) -> int:
    return main(['evaluate', 'fusion', '--visible', str(folder / 'vi'), '--thermal', str(folder / 'ir'), *more])


def test_values_in_tables_are_those_of_the_metrics(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [pairs / 'out' / name for name in ('scores.json', 'scores.md', 'sheet.png')]
    flags = ['--json', str(outputs[0]), '--markdown', str(outputs[1]), '--sheet', str(outputs[2])]
    results = ['--peers', str(pairs / 'peers'), '--fused', str(pairs / 'ours/fused'), '--baselines']
    assert evaluate(pairs, *results, *flags) == 0

    scores = json.loads(outputs[0].read_text())
    assert list(scores) == [*BASELINES, 'Grey', 'ours']
    visible, thermal = scene(1)
    expected = evaluate_fusion(to_grey(visible), thermal, to_grey(visible) // 2 + thermal // 2)
    assert scores['Grey']['images']['b']['Qabf'] == pytest.approx(expected.qabf)
    assert scores['Grey']['images']['b']['MI'] == pytest.approx(expected.mi)
    means = [scores['Grey']['images'][name]['SF'] for name in 'ab']
    assert scores['Grey']['mean']['SF'] == pytest.approx(sum(means) / 2)
    # The visible image has no difference to itself, keeps its colours, and a grey image loses them.
    assert scores['ours']['mean']['SCD'] is None
    assert scores['ours']['mean']['chroma error'] == 0
    assert scores['Grey']['mean']['chroma error'] > 10

    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith('| Grey'))
    assert f'{scores["Grey"]["mean"]["Qabf"]:.3f}' in row
    markdown = outputs[1].read_text()
    assert printed.strip() in markdown
    assert '### b' in markdown
    # Visible, thermal, three more baselines, one peer, ours: seven cells wide, two pairs high.
    sheet = read_image(outputs[2])
    assert sheet.shape[1] > 7 * 320
    assert sheet.shape[0] > 2 * 240


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (lambda folder: (folder / 'ours/fused/b.png').unlink(), 'no fused image b'),
        (lambda folder: (folder / 'ours/fused/b.png').write_bytes(b'PNG'), 'b.png: not a readable image'),
        (lambda folder: write_image(folder / 'ours/fused/b.png', np.zeros((64, 64), np.uint8)), '64x64 pixels'),
        (lambda folder: (folder / 'ir/b.png').unlink(), 'without partner'),
    ],
)
def test_bad_input_is_one_line_and_code_2(pairs: Path, capsys: pytest.CaptureFixture[str], damage, reason: str) -> None:
    damage(pairs)
    assert evaluate(pairs, '--fused', str(pairs / 'ours/fused'), '--json', str(pairs / 'scores.json')) == 2
    message = capsys.readouterr().err
    assert reason in message
    assert message.count('\n') == 1
    assert not (pairs / 'scores.json').exists()


def test_nothing_to_measure_and_equal_names_are_refused(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(pairs) == 2
    assert 'nothing to measure' in capsys.readouterr().err
    assert evaluate(pairs, '--fused', str(pairs / 'peers/Grey'), str(pairs / 'peers/Grey')) == 2
    assert "called 'Grey'" in capsys.readouterr().err


def test_baselines_of_known_images() -> None:
    low, high = np.full((48, 64), 10, np.uint8), np.full((48, 64), 201, np.uint8)
    assert (BASELINES['visible'](low, high) == 10).all()
    assert (BASELINES['thermal'](low, high) == 201).all()
    assert (BASELINES['average'](low, high) == 106).all()
    assert (BASELINES['maximum'](low, high) == 201).all()
    assert (BASELINES['Laplacian pyramid'](low, high) == 201).all()


@pytest.mark.parametrize('size', [(48, 64), (51, 67)])
def test_laplacian_pyramid_is_exact_for_equal_images_and_keeps_both_details(size: tuple[int, int]) -> None:
    pyramid = BASELINES['Laplacian pyramid']
    image = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    np.testing.assert_array_equal(pyramid(image, image), image)
    flat = np.full(size, 100, np.uint8)
    left, right = flat.copy(), flat.copy()
    left[20:24, 10:14] = 160
    right[20:24, 50:54] = 40
    fused = pyramid(left, right)
    assert fused[21, 11] > 150
    assert fused[21, 51] < 70
