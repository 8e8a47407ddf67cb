"""What thermal cameras send, read as heat: temperatures, dead pixels, telemetry, false colours, a few pixels."""

import cv2
import numpy as np
import pytest

from ldfusion_models.camera.images import as_grey8
from ldfusion_models.camera.palettes import PALETTES
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.camera.thermal_reader import ThermalForm, ThermalReader
from ldfusion_models.errors import InputError


def kelvin(height: int = 48, width: int = 64) -> np.ndarray:
    """A room of 290 to 300 K with a person."""
    image = np.tile(np.linspace(290, 300, width, dtype=np.float32), (height, 1))
    image[height // 4 : -height // 4, width // 3 : width // 2] = 307
    return image


@pytest.mark.parametrize('unit', ['kelvin', 'celsius'])
def test_temperatures_come_out_in_kelvin(unit: str) -> None:
    sent = kelvin() - np.float32(273.15 if unit == 'celsius' else 0)
    for form in (ThermalForm(), ThermalForm(temperatures=unit)):
        np.testing.assert_allclose(ThermalReader()(sent, form), kelvin(), atol=1e-4)


def test_a_furnace_in_celsius_can_be_named() -> None:
    sent = np.full((48, 64), 600, np.float32)
    assert ThermalReader()(sent, ThermalForm(temperatures='celsius'))[0, 0] == pytest.approx(873.15)


def test_dead_pixels_take_the_nearest_temperature() -> None:
    sent = kelvin()
    sent[10], sent[:, 40], sent[3, 3] = np.nan, np.nan, np.inf
    read = ThermalReader()(sent, ThermalForm())
    assert np.isfinite(read).all()
    assert np.abs(read - kelvin()).max() < 0.5
    with pytest.raises(InputError, match='without a finite one'):
        ThermalReader()(np.full((4, 4), np.nan, np.float32), ThermalForm())


@pytest.mark.parametrize('kind', ['kelvin', 'signed counts'])
def test_gain_control_shows_them_as_it_shows_counts(kind: str) -> None:
    counts = (kelvin() * 100).astype(np.uint16)
    sent = kelvin() if kind == 'kelvin' else (counts.astype(np.int32) - 30000).astype(np.int16)
    grey = as_grey8(ThermalReader()(sent, ThermalForm()), GainControl())
    assert np.abs(grey.astype(int) - as_grey8(counts, GainControl())).max() <= 2


@pytest.mark.parametrize('number', [2, 4])
@pytest.mark.parametrize('edge', ['top', 'bottom'])
def test_telemetry_is_found_named_and_cut(edge: str, number: int) -> None:
    counts = (kelvin(120, 160) * 100).astype(np.uint16)
    rows = np.random.default_rng(0).integers(0, 65536, (number, 160)).astype(np.uint16)
    sent = np.vstack([rows, counts] if edge == 'top' else [counts, rows])
    reader = ThermalReader()
    reader(sent, ThermalForm())
    assert reader.notes['telemetry'].endswith(f'set thermal_cut_{edge} to {number}')
    cut = ThermalForm(number, 0) if edge == 'top' else ThermalForm(0, number)
    clean = ThermalReader()
    assert np.array_equal(clean(sent, cut), counts)
    assert clean.notes == {}
    with pytest.raises(InputError, match='leave no row'):
        reader(sent, ThermalForm(100, 30))


def test_a_warm_floor_is_no_telemetry() -> None:
    counts = (kelvin(120, 160) * 100).astype(np.uint16)
    counts[100:] = 31500
    reader = ThermalReader()
    reader(counts, ThermalForm())
    assert reader.notes == {}


@pytest.mark.parametrize('coded', ['raw', 'jpeg'])
@pytest.mark.parametrize('name', PALETTES)
def test_false_colours_of_known_palettes_are_taken_back(name: str, coded: str) -> None:
    """Painted by OpenCV from a smooth scene; JPEG mixes colours a little."""
    rows, columns = np.mgrid[:96, :128]
    heat = (127 + 120 * np.sin(rows / 30) * np.cos(columns / 40)).astype(np.uint8)
    painted = cv2.applyColorMap(heat, PALETTES[name])
    if coded == 'jpeg':
        painted = cv2.imdecode(cv2.imencode('.jpg', painted)[1], cv2.IMREAD_COLOR)
    reader = ThermalReader()
    read = reader(painted[..., ::-1].copy(), ThermalForm())
    error = np.abs(read.astype(int) - heat)
    assert error.mean() < 4
    assert np.percentile(error, 99) < (8 if coded == 'raw' else 32)
    assert f'({name})' in reader.notes['palette']


def test_strange_colours_are_said_and_grey_ones_are_not() -> None:
    strange, grey = ThermalReader(), ThermalReader()
    strange(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), ThermalForm())
    assert 'no palette that is known here' in strange.notes['colours']
    level = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    assert np.array_equal(grey(np.dstack([level] * 3), ThermalForm()), level)
    assert grey.notes == {}


@pytest.mark.parametrize('size', [(24, 32), (12, 16), (8, 8)])
def test_arrays_of_a_few_pixels_have_a_grey_image(size: tuple[int, int]) -> None:
    grey = as_grey8(ThermalReader()(kelvin(*size), ThermalForm()), GainControl())
    assert grey.shape == size
    assert np.ptp(grey) > 200
