"""Procedural textures: what a surface's pattern does to its colour, its shine and its warmth."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.rendering.raycast import Float32s
from ldfusion_training.simulation.scenery.things import Pattern

Values = npt.NDArray[np.floating[Any]]
_LATTICE = 256
_RANDOM = np.random.default_rng(20_240_917)
_TILE = np.pad(4.5 * (_RANDOM.random((_LATTICE, _LATTICE), np.float32) - 0.5), ((0, 1), (0, 1)), mode='wrap')
_HASH = _RANDOM.random(1 << 16).astype(np.float32)


@dataclass
class Look:
    """What is seen of N surface points; textures change it in place.

    Attributes:
        albedo: (N, 3); gloss: (N,); emission: (N, 3); emissivity: (N,); heat: (N,) kelvin above the air.
    """

    albedo: Float32s
    gloss: Float32s
    emission: Float32s
    emissivity: Float32s
    heat: Float32s

    def rows(self, index: npt.NDArray[np.int64]) -> 'Look':
        """A copy of some points' looks."""
        return Look(*(getattr(self, field.name)[index] for field in fields(self)))

    def put(self, index: npt.NDArray[np.int64], part: 'Look') -> None:
        """Store looks made with ``rows``."""
        for field in fields(self):
            getattr(self, field.name)[index] = getattr(part, field.name)


def value_noise(u: Values, v: Values, cell: float, footprint: Values | None = None) -> Float32s:
    """Smooth noise of about unit deviation with a grain of ``cell`` metres; it fades where a pixel covers a grain."""
    if footprint is None:
        return _noise(u, v, cell)
    result = np.zeros(len(u), np.float32)
    rows = np.flatnonzero(footprint < 1.5 * cell)
    fade = np.minimum(np.float32(1.5) - footprint[rows] * np.float32(1 / cell), 1)
    result[rows] = _noise(u[rows], v[rows], cell) * fade
    return result


def _noise(u: Values, v: Values, cell: float) -> Float32s:
    count = len(u)
    if not count:
        return np.zeros(0, np.float32)
    # cv2.remap takes pictures of less than 32768 rows and columns, so that the points are laid out as one.
    place = np.zeros((2, -(-count // 1024), 1024), np.float32)
    for axis, (values, offset) in enumerate(((u, 17.3), (v, 5.9))):
        cells = values * np.float32(1 / cell) + np.float32(offset)
        cells -= np.floor(cells * np.float32(1 / _LATTICE)) * np.float32(_LATTICE)
        place[axis].reshape(-1)[:count] = cells
    noise = cv2.remap(_TILE, place[0], place[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(noise.reshape(-1)[:count], np.float32)


def fractal(u: Values, v: Values, cell: float, footprint: Values, octaves: int = 3) -> Float32s:
    """Sum of noises, each twice as fine and six tenths as strong."""
    total = np.zeros(len(u), np.float32)
    for octave in range(octaves):
        total += np.float32(0.6**octave) * value_noise(u, v, cell / 2**octave, footprint)
    return total


def hash_cells(a: Values, b: Values, seed: float) -> Float32s:
    """A random number 0 to 1 for whole-numbered cells."""
    key = a.astype(np.int64) * 73_856_093 + b.astype(np.int64) * 19_349_663 + int(seed * 1000) * 83_492_791
    return np.take(_HASH, (key ^ (key >> 13)) & 0xFFFF)


def band(x: Values, low: float, high: float, footprint: Values) -> Float32s:
    """The part of a pixel of width ``footprint`` about ``x`` that lies between low and high, 0 to 1."""
    soft = np.maximum(footprint, np.float32(1e-4))
    return np.asarray(
        np.clip((np.minimum(x + soft / 2, high) - np.maximum(x - soft / 2, low)) / soft, 0, 1), np.float32
    )


def joints(u: Values, v: Values, length: float, height: float, width: float, footprint: Values) -> Float32s:
    """The part of a pixel that joints of a ``width`` take between stones of a length and a height, 0 to 1."""
    return np.maximum(band(np.mod(u, length), 0, width, footprint), band(np.mod(v, height), 0, width, footprint))


def _mix(look: Look, amount: Values, colour: tuple[float, float, float]) -> None:
    look.albedo += amount[:, None] * (np.array(colour, np.float32) - look.albedo)


def _shade(look: Look, factor: Values) -> None:
    look.albedo *= np.maximum(factor, 0.05)[:, None]


Layout = tuple[float, float, float, float]


def _plain(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Faint dirt."""
    _shade(look, 1 + 0.04 * value_noise(u, v, 0.4, footprint))


def _asphalt(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Grain, stains and worn patches."""
    stains = fractal(u, v, 2.5, footprint)
    grain = value_noise(u, v, 0.008, footprint) + value_noise(u, v, 0.025, footprint)
    cracks = np.clip(1 - np.abs(value_noise(u, v, 1.7, footprint) + 0.3 * value_noise(u, v, 0.4, footprint)) * 14, 0, 1)
    _shade(look, 1 + 0.12 * stains + 0.12 * grain - 0.45 * cracks * np.clip(1.5 - footprint / 0.02, 0, 1))
    look.heat += np.float32(0.4) * stains


PAINT = (0.62, 0.62, 0.58)


def _road(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Asphalt along x with lanes: half width of the road, lane width, dash period, width of the lines."""
    half, lane, period, width = layout
    _asphalt(look, u, v, footprint, layout)
    tracks = np.cos(2 * np.pi * (v / lane) * 2) * np.clip(1.5 - footprint / 0.5, 0, 1)
    _shade(look, 1 + 0.05 * tracks)
    look.heat -= np.float32(0.5) * tracks
    edge = band(np.abs(v), half - 0.35, half - 0.35 + width, footprint)
    across = np.abs(np.mod(v + lane / 2, lane) - lane / 2)
    dash = band(np.mod(u, period), 0.0, period * 0.4, footprint * 3)
    inner = band(across, -width / 2, width / 2, footprint) * dash * (np.abs(v) < half - 0.5)
    wear = np.clip(0.85 + 0.25 * value_noise(u, v, 0.15, footprint), 0, 1)
    paint = np.clip(edge + inner, 0, 1) * wear
    _mix(look, paint, PAINT)
    look.heat -= np.float32(1.2) * paint
    look.emissivity -= np.float32(0.03) * paint


def _parking(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Asphalt with stalls: width and depth of a stall, distance of the middles of double rows, offset of the first."""
    width, depth, pitch, offset = layout
    _asphalt(look, u, v, footprint, layout)
    row = np.abs(np.mod(v - offset + pitch / 2, pitch) - pitch / 2)
    line = band(np.abs(np.mod(u + width / 2, width) - width / 2), -0.06, 0.06, footprint) * (row < depth)
    spine = band(row, -0.06, 0.06, footprint)
    paint = np.clip(line + spine, 0, 1) * np.clip(0.8 + 0.3 * value_noise(u, v, 0.15, footprint), 0, 1)
    _mix(look, paint, PAINT)
    look.heat -= np.float32(1.2) * paint


def _pavers(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Slabs of the given length and width, with joints."""
    length, width = layout[0], layout[1]
    row = np.floor(v / width)
    shifted = u + np.mod(row, 2) * np.float32(length / 2)
    tone = hash_cells(np.floor(shifted / length), row, 1.0) - 0.5
    fade = np.clip(1.5 - footprint / (length / 2), 0, 1)
    joint = joints(shifted, v, length, width, 0.015, footprint)
    _shade(look, (1 + 0.3 * tone * fade + 0.1 * fractal(u, v, 1.2, footprint)) * (1 - 0.45 * joint))
    look.heat += np.float32(0.5) * joint


def _grass(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Meadow with dry and bare spots."""
    patches = fractal(u, v, 3.0, footprint)
    blades = value_noise(u, v, 0.03, footprint) + value_noise(u, v * 0.5, 0.1, footprint)
    _shade(look, 1 + 0.22 * blades + 0.15 * patches)
    _mix(look, np.clip(0.25 * (patches - 0.8), 0, 0.6), (0.22, 0.17, 0.09))
    look.heat += np.float32(0.7) * patches + np.float32(0.3) * blades


def _brick(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Bricks in running bond."""
    row = np.floor(v / 0.075)
    shifted = u + np.mod(row, 2) * np.float32(0.12)
    fade = np.clip(1.5 - footprint / 0.1, 0, 1)
    tone = (hash_cells(np.floor(shifted / 0.24), row, 2.0) - 0.5) * fade
    joint = joints(shifted, v, 0.24, 0.075, 0.012, footprint)
    _shade(look, 1 + 0.5 * tone + 0.08 * fractal(u, v, 1.5, footprint))
    _mix(look, 0.7 * joint, (0.35, 0.33, 0.3))


def _facade(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Plaster or brick with windows: bay width, storey height, window width as a part of the bay, seed."""
    bay, storey, part, seed = layout
    if hash_cells(np.array([0.0], np.float32), np.array([0.0], np.float32), seed)[0] < 0.5:
        _brick(look, u, v, footprint, layout)
    else:
        _shade(look, 1 + 0.06 * fractal(u, v, 1.5, footprint) + 0.05 * value_noise(u, v, 0.05, footprint))
    _shade(look, 0.8 + 0.2 * np.clip(v / 0.8, 0, 1))
    column, level = np.floor(u / bay), np.floor(v / storey)
    across, up = np.mod(u, bay) - bay / 2, np.mod(v, storey)
    half = bay * part / 2
    rails = 0.35
    exists = (hash_cells(column, level, seed + 1) > 0.08) & (level >= 0)
    frame = (
        band(across, -half - 0.07, half + 0.07, footprint)
        * band(up, rails * storey - 0.1, 0.82 * storey + 0.07, footprint)
        * exists
    )
    pane = band(across, -half, half, footprint) * band(up, rails * storey, 0.82 * storey, footprint) * exists
    bars = np.maximum(band(across, -0.03, 0.03, footprint), band(up, 0.62 * storey, 0.62 * storey + 0.05, footprint))
    pane *= 1 - bars
    _mix(look, frame, (0.5, 0.49, 0.46))
    curtain = hash_cells(column, level, seed + 2)
    tint = (0.02 + 0.12 * (curtain > 0.6) * (up > 0.45 * storey)).astype(np.float32)
    look.albedo += pane[:, None] * (tint[:, None] - look.albedo)
    look.gloss += pane * np.float32(0.12)
    lit = pane * (hash_cells(column, level, seed + 3) > 0.72)
    warmth = hash_cells(column, level, seed + 4)[:, None]
    look.emission += lit[:, None] * (np.array([0.05, 0.037, 0.02], np.float32) * (0.4 + warmth))
    look.emissivity += pane * np.float32(0.83 - 0.93)
    look.heat += pane * (np.float32(1.0) + 3.5 * hash_cells(column, level, seed + 5)) + np.float32(0.3) * frame
    # Floor slabs and radiators leak heat under the windows: what a thermal camera shows of a house first.
    look.heat += np.float32(0.6) * band(up, -0.15, 0.15, footprint)


def _concrete(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Cloudy grey; the first measure is the size of the clouds, the second, if any, the distance of joints."""
    _shade(look, 1 + 0.12 * fractal(u, v, max(layout[0], 0.05), footprint) + 0.05 * value_noise(u, v, 0.02, footprint))
    if layout[1] > 0:
        _shade(look, 1 - 0.4 * joints(u, v, layout[1], layout[1], 0.02, footprint))
    look.heat += np.float32(0.15) * value_noise(u, v, 0.8, footprint)


def _leaves(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Strong light and dark of foliage."""
    noise = value_noise(u, v, 0.07, footprint) + value_noise(u, v, 0.25, footprint)
    _shade(look, 1 + 0.4 * noise)
    look.heat += np.float32(0.4) * noise


def _stripes(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Stripes across u: period, part that is darker (0 to 1) in metres, brightness of that part, unused."""
    period, width, factor, _ = layout
    _shade(look, 1 - (1 - factor) * band(np.mod(u, period), 0, width, footprint))
    _shade(look, 1 + 0.04 * fractal(u, v, 0.8, footprint))


def _tiles(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Tiles of the given size with dark joints."""
    size = layout[0]
    fade = np.clip(1.5 - footprint / size, 0, 1)
    joint = joints(u, v, size, size, size * 0.05, footprint)
    tone = (hash_cells(np.floor(u / size), np.floor(v / size), 3.0) - 0.5) * fade
    _shade(look, (1 + 0.15 * tone + 0.04 * fractal(u, v, 1.0, footprint)) * (1 - 0.35 * joint))


def _cloth(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """Folds; where cloth hangs off the body it is colder."""
    folds = value_noise(u * 2, v, 0.12, footprint) + 0.5 * value_noise(u, v, 0.3, footprint)
    _shade(look, 1 + 0.1 * folds)
    look.heat *= 1 + np.float32(0.09) * folds


def _cardboard(look: Look, u: Float32s, v: Float32s, footprint: Float32s, layout: Layout) -> None:
    """A box with tape and a label."""
    tape = band(np.mod(u, 0.6), 0.27, 0.33, footprint)
    label = band(np.mod(u, 0.6), 0.05, 0.2, footprint) * band(np.mod(v, 0.45), 0.1, 0.22, footprint)
    _shade(look, 1 + 0.06 * fractal(u, v, 0.3, footprint))
    _mix(look, 0.6 * tape, (0.45, 0.33, 0.18))
    _mix(look, 0.9 * label, (0.7, 0.7, 0.68))


TEXTURES: dict[Pattern, Callable[[Look, Float32s, Float32s, Float32s, Layout], None]] = {
    Pattern.PLAIN: _plain,
    Pattern.ASPHALT: _asphalt,
    Pattern.ROAD: _road,
    Pattern.PARKING: _parking,
    Pattern.PAVERS: _pavers,
    Pattern.GRASS: _grass,
    Pattern.BRICK: _brick,
    Pattern.FACADE: _facade,
    Pattern.CONCRETE: _concrete,
    Pattern.LEAVES: _leaves,
    Pattern.STRIPES: _stripes,
    Pattern.TILES: _tiles,
    Pattern.CLOTH: _cloth,
    Pattern.CARDBOARD: _cardboard,
}
