"""Surface points of one camera image: what was hit, its look, and light on it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.climate import Climate, Puff
from ldfusion_training.simulation.raycast import Float32s, Hits, Ints, SurfaceTable, World
from ldfusion_training.simulation.textures import TEXTURES, Look
from ldfusion_training.simulation.things import Pattern


@dataclass(frozen=True)
class Points:
    """Surface points, one row for each pixel that sees something.

    Attributes:
        pixel: (N,) index into the flat image.
        position, normal, view: (N, 3) in the world; the normal faces the camera, view points away from it.
        facing: (N,) cosine between normal and the way back to the camera.
        depth, distance: (N,) metres along the optical axis, and along the ray.
        instance, surface: (N,) ids.
        look: colour, shine and warmth.
        solar, cooling: (N,) kelvin, of the surface.
    """

    pixel: npt.NDArray[np.int64]
    position: Float32s
    normal: Float32s
    view: Float32s
    facing: Float32s
    depth: Float32s
    distance: Float32s
    instance: Ints
    surface: Ints
    look: Look
    solar: Float32s
    cooling: Float32s


def look_at(
    hits: Hits, origin: Float32s, directions: Float32s, table: SurfaceTable, pixel_angle: float, lamps_on: bool
) -> Points:
    """Gather attributes at the hits and lay the textures over them."""
    triangles = hits.triangles
    packed = np.einsum('nk,nkc->nc', hits.weights, triangles.packed[hits.triangle])
    direction = directions[hits.ray]
    length = np.linalg.norm(direction, axis=1)
    view = direction / length[:, None]
    normal = packed[:, :3] / np.maximum(np.linalg.norm(packed[:, :3], axis=1, keepdims=True), 1e-6)
    facing = -np.einsum('nc,nc->n', normal, view)
    normal = np.where(facing[:, None] < 0, -normal, normal)
    facing = np.clip(np.abs(facing), 0.02, 1.0)
    distance = hits.distance * length
    surface = triangles.surface[hits.triangle]
    look = _textured(surface, packed, distance * np.float32(pixel_angle) / np.sqrt(facing), table, lamps_on)
    surfaces = table.surfaces
    return Points(
        pixel=hits.ray,
        position=origin + direction * hits.distance[:, None],
        normal=normal,
        view=view,
        facing=facing,
        depth=hits.distance,
        distance=distance,
        instance=triangles.instance[hits.triangle],
        surface=surface,
        look=look,
        solar=np.array([s.solar for s in surfaces], np.float32)[surface],
        cooling=np.array([s.cooling for s in surfaces], np.float32)[surface],
    )


def _textured(surface: Ints, packed: Float32s, footprint: Float32s, table: SurfaceTable, lamps_on: bool) -> Look:
    surfaces = table.surfaces
    gather = {
        name: np.array([getattr(s, name) for s in surfaces], np.float32)[surface]
        for name in ('colour', 'gloss', 'emission', 'emissivity', 'heat')
    }
    look = Look(
        gather['colour'], gather['gloss'], gather['emission'], gather['emissivity'], gather['heat'] + packed[:, 5]
    )
    order = np.argsort(surface, kind='stable')
    numbers, starts = np.unique(surface[order], return_index=True)
    grouped: dict[tuple[Pattern, tuple[float, float, float, float]], list[npt.NDArray[np.int64]]] = {}
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        grouped.setdefault((surfaces[number].pattern, surfaces[number].layout), []).append(rows)
    for (pattern, layout), parts in grouped.items():
        rows = np.concatenate(parts)
        part = Look(look.albedo[rows], look.gloss[rows], look.emission[rows], look.emissivity[rows], look.heat[rows])
        lit_before = part.emission.copy()
        TEXTURES[pattern](part, packed[rows, 3], packed[rows, 4], footprint[rows], layout)
        look.albedo[rows], look.gloss[rows], look.emissivity[rows], look.heat[rows] = (
            part.albedo,
            part.gloss,
            part.emissivity,
            part.heat,
        )
        look.emission[rows] = part.emission if lamps_on else lit_before
    return look


@dataclass(frozen=True)
class Spot:
    """A lamp placed in the world: position, unit direction, irradiance at one metre, cosine of its cone, reach."""

    position: Float32s
    direction: Float32s
    colour: Float32s
    cone: float
    reach: float


def sun_on(points: Points, climate: Climate, world: World) -> Float32s:
    """Cosine of the sun on each point, 0 in shadow (N,)."""
    if climate.sun == (0.0, 0.0, 0.0):
        return np.zeros(len(points.pixel), np.float32)
    towards = np.array(climate.sun_direction, np.float32)
    cosine = np.maximum(points.normal @ towards, 0)
    faces = np.flatnonzero(cosine > 0.01)
    origins = points.position[faces] + points.normal[faces] * np.float32(0.01)
    blocked = world.occluded(origins, np.broadcast_to(towards, origins.shape).copy())
    cosine[faces[blocked]] = 0
    return cosine


def lamp_light(points: Points, spots: list[Spot], world: World, weakest: float) -> Float32s:
    """Irradiance (N, 3) from lamps with shadows; a lamp's light weaker than ``weakest`` is left out."""
    light = np.zeros((len(points.pixel), 3), np.float32)
    for spot in spots:
        offset = spot.position - points.position
        square = np.einsum('nc,nc->n', offset, offset)
        near = np.flatnonzero(square < spot.reach**2)
        if not len(near):
            continue
        offset, square = offset[near], np.maximum(square[near], 0.05)
        distance = np.sqrt(square)
        towards = offset / distance[:, None]
        cosine = np.einsum('nc,nc->n', points.normal[near], towards)
        beam = _beam(-towards @ spot.direction, spot.cone)
        edge = 1 - (distance / spot.reach) ** 2
        power = np.maximum(cosine, 0) * beam * edge / square
        bright = np.flatnonzero(power * spot.colour.max() > weakest)
        if not len(bright):
            continue
        near, towards, distance, power = near[bright], towards[bright], distance[bright], power[bright]
        origins = points.position[near] + points.normal[near] * np.float32(0.01)
        reach = np.maximum(distance - 0.35, 0.01).astype(np.float32)
        clear = ~world.occluded(origins, np.ascontiguousarray(towards), reach)
        light[near[clear]] += power[clear, None] * spot.colour
    return light


def _beam(cosine: Float32s, cone: float) -> Float32s:
    """Strength of a beam by the cosine of the angle off its axis; half at the cone's angle."""
    if cone <= -1:
        return np.ones_like(cosine)
    edge = np.clip((cosine - (2 * cone - 1)) / (2 - 2 * cone), 0, 1)
    return np.asarray(edge * edge * (3 - 2 * edge), np.float32)


def smoke_thickness(
    origin: Float32s, view: Float32s, distance: Float32s, puffs: tuple[Puff, ...], seconds: float
) -> Float32s:
    """Optical thickness (N,) of smoke along rays, integrated exactly through each Gaussian puff."""
    total = np.zeros(len(distance), np.float32)
    for puff in puffs:
        centre = np.array(puff.centre, np.float32) + np.float32(seconds) * np.array(puff.drift, np.float32)
        to_centre = centre - origin
        nearest = view @ to_centre
        off_axis = np.maximum(to_centre @ to_centre - nearest**2, 0)
        scale = np.float32(1 / (np.sqrt(2) * puff.spread))
        through = _erf((distance - nearest) * scale) - _erf(-nearest * scale)
        total += np.exp(-off_axis * scale**2) * through * np.float32(puff.thickness * puff.spread * np.sqrt(np.pi / 2))
    return total


def _erf(x: Float32s) -> Float32s:
    """Error function within 4e-4 (tanh form), fast on arrays."""
    return np.asarray(np.tanh(x * (np.float32(1.1283792) + np.float32(0.1009) * x * x)), np.float32)
