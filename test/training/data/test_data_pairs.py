"""Folders of image pairs: every documented layout, and files that are broken or alone."""

from pathlib import Path

import numpy as np
import pytest

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.data.pairs import open_pairs

HEIGHT, WIDTH = 40, 48


def write_pair(visible: Path, thermal: Path, seed: int = 0) -> None:
    generator = np.random.default_rng(seed)
    write_image(visible, generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    write_image(thermal, generator.integers(0, 256, (HEIGHT, WIDTH), np.uint8))


@pytest.mark.parametrize(
    ('layout', 'visible', 'thermal'),
    [
        ('plain', 'visible', 'thermal'),
        ('plain', 'vi', 'ir'),
        ('split', 'train/vi', 'train/ir'),
        ('llvip', 'visible/train', 'infrared/train'),
        ('roadscene', 'crop_LR_visible', 'cropinfrared'),
        ('m3fd', 'Vis', 'Ir'),
        ('kaist', 'set00/V000/visible', 'set00/V000/lwir'),
    ],
)
@pytest.mark.parametrize('automatic', [True, False])
def test_every_layout_is_found(tmp_path: Path, layout: str, visible: str, thermal: str, automatic: bool) -> None:
    write_pair(tmp_path / visible / 'a.png', tmp_path / thermal / 'a.bmp', 1)
    write_pair(tmp_path / visible / 'b.png', tmp_path / thermal / 'b.png', 2)
    found = open_pairs(tmp_path, 'auto' if automatic else layout)
    assert [source.name for source in found] == ['a', 'b']
    pair = found[1].read()
    generator = np.random.default_rng(2)
    np.testing.assert_array_equal(pair.visible, generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    np.testing.assert_array_equal(pair.thermal, generator.integers(0, 256, (HEIGHT, WIDTH), np.uint8))


def test_sequences_of_a_set_keep_their_names_apart(tmp_path: Path) -> None:
    for sequence in ('set00/V000', 'set00/V001'):
        write_pair(tmp_path / sequence / 'visible/I0.png', tmp_path / sequence / 'lwir/I0.png')
    assert [source.name for source in open_pairs(tmp_path)] == ['set00/V000/I0', 'set00/V001/I0']


def test_the_other_split_stays_out(tmp_path: Path) -> None:
    write_pair(tmp_path / 'train/vi/a.png', tmp_path / 'train/ir/a.png')
    write_pair(tmp_path / 'test/vi/b.png', tmp_path / 'test/ir/b.png')
    assert [source.name for source in open_pairs(tmp_path, split='train')] == ['a']
    assert [source.name for source in open_pairs(tmp_path, split='test')] == ['b']


def test_grey_visible_and_16_bit_thermal_become_rgb8_and_grey8(tmp_path: Path) -> None:
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    write_image(tmp_path / 'vi/a.png', (grey % 256).astype(np.uint8))
    write_image(tmp_path / 'ir/a.png', grey + 20000)
    pair = open_pairs(tmp_path)[0].read()
    assert pair.visible.shape == (HEIGHT, WIDTH, 3)
    assert pair.thermal.dtype == np.uint8
    assert pair.thermal.min() == 0
    assert pair.thermal.max() == 255


def break_alone(folder: Path) -> str:
    write_pair(folder / 'vi/c.png', folder / 'unused/c.png')
    return 'c.png'


def break_truncated(folder: Path) -> str:
    write_pair(folder / 'vi/c.png', folder / 'ir/c.png')
    whole = (folder / 'ir/c.png').read_bytes()
    (folder / 'ir/c.png').write_bytes(whole[: len(whole) // 2])
    return 'ir/c.png'


def break_empty(folder: Path) -> str:
    write_pair(folder / 'vi/c.png', folder / 'ir/c.png')
    (folder / 'vi/c.png').write_bytes(b'')
    return 'vi/c.png'


def break_size(folder: Path) -> str:
    write_pair(folder / 'vi/c.png', folder / 'ir/c.png')
    write_image(folder / 'ir/c.png', np.zeros((HEIGHT, WIDTH + 2), np.uint8))
    return '50x40'


@pytest.mark.parametrize('damage', [break_alone, break_truncated, break_empty, break_size])
def test_faulty_files_are_named_and_refused_or_skipped(tmp_path: Path, damage) -> None:
    for name in 'ab':
        write_pair(tmp_path / f'vi/{name}.png', tmp_path / f'ir/{name}.png')
    named = damage(tmp_path)
    with pytest.raises(InputError, match=named):
        open_pairs(tmp_path)
    found = open_pairs(tmp_path, faults='skip')
    assert [source.name for source in found] == ['a', 'b']
    assert len(found.skipped) == 1
    assert named in found.skipped[0]


def test_a_set_with_nothing_readable_is_refused_even_when_skipping(tmp_path: Path) -> None:
    break_truncated(tmp_path)
    with pytest.raises(InputError, match='no readable pair'):
        open_pairs(tmp_path, faults='skip')


def test_missing_folders_and_unknown_layouts_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such folder'):
        open_pairs(tmp_path / 'absent')
    with pytest.raises(InputError, match='no folders of pairs'):
        open_pairs(tmp_path)
    with pytest.raises(InputError, match="layout 'lvip' is unknown"):
        open_pairs(tmp_path, 'lvip')
