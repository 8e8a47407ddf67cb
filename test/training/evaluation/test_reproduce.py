"""``ldfusion reproduce``: printed numbers under what they are, measured ones beside them, with notes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ldfusion_models.files import read_image, write_image
from ldfusion_training.cli import main
from ldfusion_training.evaluation.reproduce import TABLES, paper_table
from ldfusion_training.metrics import to_grey

SIZE = (64, 96)
# What each measure of 8-bit images can be at all, or is on natural pairs.
PLAUSIBLE = {'SF': (1, 60), 'Qabf': (0, 1), '2EN': (8, 16), 'SD': (20, 128), 'VIF': (0.1, 2)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pairs in TNO's plain layout, and a peer's folder whose name is written in another way than the paper's."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for name in 'abc':
        waves = generator.uniform(0.05, 0.4, (4, 2))
        planes = np.stack([np.sin(u * y + v * x) for u, v in waves], axis=-1) * 100 + 128
        visible, thermal = planes[..., :3].astype(np.uint8), planes[..., 3].astype(np.uint8)
        write_image(tmp_path / f'tno/vi/{name}.png', visible)
        write_image(tmp_path / f'tno/ir/{name}.png', thermal)
        write_image(tmp_path / f'peers/rfn_nest/{name}.png', to_grey(visible) // 2 + thermal // 2)
        write_image(tmp_path / f'peers/Unheard/{name}.png', thermal)
    return tmp_path


def reproduce(table: str, data: Path, *more: object) -> int:
    return main(['reproduce', table, '--data', str(data / 'tno'), '--json', str(data / 'out.json'), *map(str, more)])


def entropy(image: np.ndarray) -> float:
    shares = np.unique(image, return_counts=True)[1] / image.size
    return float(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize('name', TABLES)
def test_printed_numbers_are_plausible_for_their_measure_or_have_a_note(name: str) -> None:
    """Swapped columns, 2EN under the heading MI and impossible values all show here."""
    table = paper_table(name)
    for row, numbers in table.rows.items():
        for heading, number in numbers.items():
            low, high = PLAUSIBLE[table.columns[heading]]
            noted = any((row, heading) in note.cells for note in table.notes)
            assert low <= number <= high or noted, f'{row}, {heading}: {number}'


def test_the_papers_own_row_is_the_last_of_its_ablation() -> None:
    assert paper_table('table1').rows['ours'] == paper_table('table4').rows['Diff + Dep + Lan']


def test_a_published_method_stands_beside_its_printed_row(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce('table1', data, '--fused', data / 'tno/ir', '--peers', data / 'peers', '--baselines') == 0
    written = json.loads((data / 'out.json').read_text())
    fused = [read_image(data / f'peers/rfn_nest/{name}.png') for name in 'abc']
    expected = np.mean([2 * entropy(image) for image in fused])
    assert written['measured']['RFN-Nest']['mean']['2EN'] == pytest.approx(expected)
    assert written['printed_to_measured']['MI'] == pytest.approx(13.4547 / expected)
    assert set(written['measured']) == {'ours', 'RFN-Nest'}
    assert set(written['not_printed']) >= {'Unheard', 'maximum'}
    lines = {line.split('|')[1].strip(): line for line in capsys.readouterr().out.splitlines() if line.startswith('|')}
    assert f'{expected:.3f} | 13.4547 (a)' in lines['RFN-Nest']
    assert '16.8924 (a) (c)' in lines['ours']
    assert '13.2205' in lines['DeepFuse'], 'methods without results keep their printed numbers'


def test_ours_is_fused_on_the_way(data: Path) -> None:
    """By the shipped weights, from a data set in LLVIP's layout."""
    for ours, theirs in (('vi', 'visible'), ('ir', 'infrared')):
        shutil.copytree(data / 'tno' / ours, data / 'llvip' / theirs / 'test')
    folders = ['--visible', str(data / 'tno/vi'), '--thermal', str(data / 'tno/ir'), '--output', str(data / 'ours')]
    assert main(['fuse', *folders, '--engine', 'onnxruntime']) == 0
    assert reproduce('table2', data, '--fused', data / 'ours/fused') == 0
    from_files = json.loads((data / 'out.json').read_text())
    words = ['--data', str(data / 'llvip'), '--json', str(data / 'llvip.json'), '--engine', 'onnxruntime']
    assert main(['reproduce', 'table2', *words]) == 0
    on_the_way = json.loads((data / 'llvip.json').read_text())['measured']['ours']
    assert on_the_way['images'].keys() == from_files['measured']['ours']['images'].keys()
    assert on_the_way['mean'] == pytest.approx(from_files['measured']['ours']['mean'], rel=1e-3)


def test_some_pairs_are_taken_evenly(data: Path) -> None:
    assert reproduce('table1', data, '--fused', data / 'tno/vi', '--pairs', 2) == 0
    assert json.loads((data / 'out.json').read_text())['pairs'] == ['a', 'b']
    assert reproduce('table1', data, '--fused', data / 'tno/vi', '--pairs', -1) == 2


def test_a_run_is_evaluated_as_its_stage_left_it(data: Path) -> None:
    torch = pytest.importorskip('torch')
    pytest.importorskip('accelerate')
    from ldfusion_models.mappings import from_mapping
    from ldfusion_training.data.pairs import open_pairs
    from ldfusion_training.evaluation.fusion_runs import method_of_run
    from ldfusion_training.runs.trainer import read_checkpoint
    from ldfusion_training.stages import fusion

    settings = {
        'trainer': {'steps': 2, 'batch_size': 2},
        'data': {'folders': [str(data / 'tno')], 'crop': 32},
        'denoiser': {'widths': [8, 8, 8, 8], 'embedding': 16},
    }
    train(data, 'diffusion', settings, data / 'denoiser')
    settings['denoiser_checkpoint'] = str(data / 'denoiser/checkpoint.pt')
    settings['fusion'] = {'feature_widths': [8, 8, 8], 'widths': [8, 8, 8]}
    train(data, 'fusion', settings, data / 'run')
    checkpoint = data / 'run/checkpoint.pt'
    stage = fusion.create(from_mapping(fusion.CONFIG, settings, 'test'))
    stage.load_parts(read_checkpoint(checkpoint)['average'])
    pair = open_pairs(data / 'tno')[0].read()
    visible = torch.from_numpy(pair.visible).permute(2, 0, 1)[None] / 255
    thermal = torch.from_numpy(pair.thermal)[None, None] / 255
    expected = stage.eval().networks(visible, thermal)[0].clamp(0, 1).permute(1, 2, 0).detach().numpy() * 255
    np.testing.assert_allclose(method_of_run('run', checkpoint).fused('a', pair), expected, atol=0.51)


def train(folder: Path, stage: str, settings: dict[str, object], output: Path) -> None:
    recipe = folder / f'{stage}.yaml'
    recipe.write_text(yaml.safe_dump(settings))
    assert main(['train', stage, '--config', str(recipe), '--output', str(output)]) == 0
