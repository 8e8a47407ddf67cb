"""What one camera sees before its sensor: rays, surface points and their look, smoke, and light on the points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.rendering.raycast import Float32s, Hits, Ints, SurfaceTable, World
from ldfusion_training.simulation.rendering.textures import TEXTURES, Look, value_noise
from ldfusion_training.simulation.scenery.climate import Climate, Puff
from ldfusion_training.simulation.scenery.things import Pattern

Indices = npt.NDArray[np.int64]

EDGE_RAYS = ((-0.25, -0.25), (0.25, 0.0), (0.0, 0.25))
"""Where further rays pass a pixel on an edge, in pixels off its centre: smooth outlines without touching the truth."""


@dataclass(frozen=True)
class Points:
    """Surface points, one row for each ray that met something.

    Attributes:
        ray: (N,) index of the ray.
        position, normal: (N, 3) in the world; the normal faces the camera.
        facing: (N,) cosine between normal and the way back to the camera.
        mirrored: (N, 3) direction into which a mirror would turn the ray.
        depth: (N,) metres along the optical axis.
        instance: (N,) ids.
        look: colour, shine and warmth.
        solar, cooling: (N,) kelvin, of the surface.
    """

    ray: Indices
    position: Float32s
    normal: Float32s
    facing: Float32s
    mirrored: Float32s
    depth: Float32s
    instance: Ints
    look: Look
    solar: Float32s
    cooling: Float32s


@dataclass(frozen=True)
class View:
    """All rays of one image: one through each pixel's centre, then further ones for pixels on edges.

    Attributes:
        shape: height and width.
        origin: (3,) of the camera; unit: (R, 3) directions of all rays, in the world.
        points: where rays met something; sky: (S,) rays that met nothing.
        distance: (R,) metres to what was met; infinite for the sky.
        smoke: (R,) optical thickness of smoke for visible light.
        edges: (E,) pixels with further rays, in the order of EDGE_RAYS.
        central: number of points, the first ones, that belong to rays through pixel centres.
    """

    shape: tuple[int, int]
    origin: Float32s
    unit: Float32s
    points: Points
    sky: Indices
    distance: Float32s
    smoke: Float32s
    edges: Indices
    central: int

    def resolve(self, values: Float32s) -> Float32s:
        """Values (R, ...) of rays to an image (H, W, ...): pixels on edges take the mean of their rays."""
        pixels = self.shape[0] * self.shape[1]
        image = values[:pixels].copy()
        further = values[pixels:].reshape(len(EDGE_RAYS), len(self.edges), *values.shape[1:])
        image[self.edges] = (image[self.edges] + further.sum(0)) / np.float32(1 + len(EDGE_RAYS))
        return np.asarray(image.reshape(*self.shape, *values.shape[1:]), np.float32)

    def pixel_of(self, ray: Indices) -> Indices:
        """The pixels that rays belong to."""
        pixels = self.shape[0] * self.shape[1]
        further = self.edges[(ray - pixels) % len(self.edges)] if len(self.edges) else ray
        return np.where(ray < pixels, ray, further)

    def truth(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
        """Depth (H, W) in metres, NaN for the sky, and instance ids (H, W), both of the pixels' centres."""
        pixels = self.shape[0] * self.shape[1]
        rays = self.points.ray[: self.central]
        depth, instance = np.full(pixels, np.nan, np.float32), np.zeros(pixels, np.uint16)
        depth[rays] = self.points.depth[: self.central]
        instance[rays] = self.points.instance[: self.central]
        return depth.reshape(self.shape), instance.reshape(self.shape)


def look(
    camera: npt.NDArray[np.float64],
    pixel_rays: Float32s,
    shape: tuple[int, int],
    world: World,
    table: SurfaceTable,
    climate: Climate,
    seconds: float,
) -> View:
    """Cast a camera's rays and gather what they met.

    Args:
        camera: pose (4, 4) of the optical frame.
        pixel_rays: (H*W, 3) directions in that frame with z = 1.
        shape: height and width.
        world, table: what there is.
        climate, seconds: for the smoke.
    """
    rotation = camera[:3, :3].astype(np.float32)
    origin = camera[:3, 3].astype(np.float32)
    directions = rotate(pixel_rays, rotation)
    hits = world.cast(np.broadcast_to(origin, directions.shape).copy(), directions)
    edges, central = _edges(hits, shape), len(hits.ray)
    if len(edges):
        pixel = float(pixel_rays[1, 0] - pixel_rays[0, 0])
        further = np.concatenate(
            [pixel_rays[edges] + np.array([x * pixel, y * pixel, 0], np.float32) for x, y in EDGE_RAYS]
        )
        further = rotate(further, rotation)
        more = world.cast(np.broadcast_to(origin, further.shape).copy(), further)
        hits = _join(hits, more, len(directions))
        directions = np.concatenate((directions, further))
    length = np.sqrt(np.einsum('nc,nc->n', directions, directions))
    unit = directions / length[:, None]
    distance = np.full(len(directions), np.inf, np.float32)
    distance[hits.ray] = hits.distance * length[hits.ray]
    points = _points(
        hits, origin, unit, distance, directions, table, float(pixel_rays[1, 0] - pixel_rays[0, 0]), climate
    )
    sky = np.flatnonzero(np.isinf(distance))
    smoke = np.zeros(len(directions), np.float32)
    if climate.puffs:
        smoke = smoke_thickness(origin, unit, distance, climate.puffs, seconds)
    return View(shape, origin, unit, points, sky, distance, smoke, edges, central)


def rotate(vectors: Float32s, rotation: Float32s) -> Float32s:
    """Vectors (N, 3) under a rotation (3, 3). Not a matrix product, for which BLAS would start threads of its own."""
    return np.asarray(np.einsum('nc,dc->nd', vectors, rotation), np.float32)


def along(vectors: Float32s, axis: Float32s) -> Float32s:
    """Components (N,) of vectors (N, 3) along an axis (3,)."""
    return np.asarray(np.einsum('nc,c->n', vectors, axis), np.float32)


def _edges(hits: Hits, shape: tuple[int, int]) -> Indices:
    """Pixels whose right or lower neighbour belongs to another surface or thing, and those neighbours."""
    key = np.full(shape[0] * shape[1], -1, np.int64)
    key[hits.ray] = (
        hits.triangles.instance[hits.triangle].astype(np.int64) << 16 | hits.triangles.surface[hits.triangle]
    )
    rows = key.reshape(shape)
    edge = np.zeros(shape, np.bool_)
    across, down = rows[:, 1:] != rows[:, :-1], rows[1:] != rows[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return np.flatnonzero(edge)


def _join(first: Hits, second: Hits, offset: int) -> Hits:
    """Hits of further rays, whose numbers begin at ``offset``, after the first ones."""
    return Hits(
        np.concatenate((first.ray, second.ray + offset)),
        np.concatenate((first.distance, second.distance)),
        np.concatenate((first.triangle, second.triangle)),
        np.concatenate((first.weights, second.weights)),
        first.triangles,
    )


def _points(
    hits: Hits,
    origin: Float32s,
    unit: Float32s,
    distance: Float32s,
    directions: Float32s,
    table: SurfaceTable,
    pixel: float,
    climate: Climate,
) -> Points:
    triangles = hits.triangles
    packed = np.einsum('nk,nkc->nc', hits.weights, np.take(triangles.packed, hits.triangle, axis=0))
    view = unit[hits.ray]
    normal = packed[:, :3] / np.sqrt(np.maximum(np.einsum('nc,nc->n', packed[:, :3], packed[:, :3]), 1e-9))[:, None]
    against = np.einsum('nc,nc->n', normal, view)
    normal *= -np.sign(against)[:, None]
    facing = np.clip(np.abs(against), 0.02, 1.0)
    mirrored = view + (2 * np.abs(against))[:, None] * normal
    surface = triangles.surface[hits.triangle]
    footprint = distance[hits.ray] * np.float32(pixel) / np.sqrt(facing)
    return Points(
        ray=hits.ray,
        position=origin + directions[hits.ray] * hits.distance[:, None],
        normal=normal,
        facing=facing,
        mirrored=mirrored,
        depth=hits.distance,
        instance=triangles.instance[hits.triangle],
        look=_apply_textures(surface, packed[:, 3:], footprint, table, climate.lamps_on),
        solar=_of_surfaces(table, 'solar')[surface],
        cooling=_of_surfaces(table, 'cooling')[surface],
    )


def _of_surfaces(table: SurfaceTable, name: str) -> Float32s:
    return np.array([getattr(surface, name) for surface in table.surfaces], np.float32)


def _apply_textures(surface: Ints, packed: Float32s, footprint: Float32s, table: SurfaceTable, lamps_on: bool) -> Look:
    """Looks (N,) of points from their surfaces, with ``packed`` (N, 3) holding u, v and heat."""
    look = Look(*(_of_surfaces(table, name)[surface] for name in ('colour', 'gloss', 'emission', 'emissivity', 'heat')))
    look.heat += packed[:, 2]
    order = np.argsort(surface, kind='stable')
    numbers, starts = np.unique(surface[order], return_index=True)
    grouped: dict[tuple[Pattern, Any], list[Indices]] = {}
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        kind = table.surfaces[number].pattern
        grouped.setdefault((kind, table.surfaces[number].layout), []).append(rows)
    for (pattern, layout), parts in grouped.items():
        rows = np.concatenate(parts)
        part = look.rows(rows)
        own = part.emission.copy()
        TEXTURES[pattern](part, packed[rows, 0], packed[rows, 1], footprint[rows], layout)
        if not lamps_on:
            part.emission = own
        look.put(rows, part)
    return look


# --- light ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spot:
    """A lamp placed in the world: position, unit direction, irradiance at one metre, cosine of its cone, reach.

    ``shadows`` is off for lamps that sit beside the camera, whose shadows hide behind what casts them.
    """

    position: Float32s
    direction: Float32s
    colour: Float32s
    cone: float
    reach: float
    shadows: bool = True


def sun_on(points: Points, climate: Climate, world: World) -> Float32s:
    """Cosine of the sun on each point, 0 in shadow (N,)."""
    if climate.sun == (0.0, 0.0, 0.0):
        return np.zeros(len(points.ray), np.float32)
    towards = np.array(climate.sun_direction, np.float32)
    cosine = np.maximum(along(points.normal, towards), 0)
    faces = np.flatnonzero(cosine > 0.01)
    origins = points.position[faces] + points.normal[faces] * np.float32(0.01)
    blocked = world.occluded(origins, np.broadcast_to(towards, origins.shape).copy())
    cosine[faces[blocked]] = 0
    return np.asarray(cosine, np.float32)


def lamp_light(points: Points, spots: Sequence[Spot], world: World, weakest: float) -> Float32s:
    """Irradiance (N, 3) from lamps with shadows; a lamp's light weaker than ``weakest`` is left out."""
    light = np.zeros((len(points.ray), 3), np.float32)
    px, py, pz = np.ascontiguousarray(points.position.T)
    nx, ny, nz = np.ascontiguousarray(points.normal.T)
    for spot in spots:
        x, y, z = (np.float32(p) - axis for p, axis in zip(spot.position, (px, py, pz), strict=True))
        square = x * x + y * y + z * z
        near = np.flatnonzero(square < min(spot.reach**2, float(spot.colour.max()) / weakest))
        x, y, z, square = x[near], y[near], z[near], np.maximum(square[near], np.float32(0.05))
        inverse = 1 / np.sqrt(square)
        cosine = (nx[near] * x + ny[near] * y + nz[near] * z) * inverse
        off_axis = -(x * spot.direction[0] + y * spot.direction[1] + z * spot.direction[2]) * inverse
        edge = 1 - square * np.float32(1 / spot.reach**2)
        power = np.maximum(cosine, 0) * _beam(off_axis, spot.cone) * edge / square
        bright = np.flatnonzero(power * spot.colour.max() > weakest)
        near, power = near[bright], power[bright]
        if spot.shadows and len(near):
            towards = np.stack((x[bright], y[bright], z[bright]), axis=1)
            origins = points.position[near] + points.normal[near] * np.float32(0.01)
            # The last 0.35 m are left out: there is the lamp's own housing.
            reach = np.maximum(1 - 0.35 * inverse[bright], 0.01)
            clear = np.flatnonzero(~world.occluded(origins, towards, reach))
            near, power = near[clear], power[clear]
        light[near] += power[:, None] * spot.colour
    return light


def _beam(cosine: Float32s, cone: float) -> Float32s:
    """Strength of a beam by the cosine of the angle off its axis; half at the cone's angle."""
    if cone <= -1:
        return np.ones_like(cosine)
    edge = np.clip((cosine - np.float32(2 * cone - 1)) * np.float32(1 / (2 - 2 * cone)), 0, 1)
    return np.asarray(edge * edge * (3 - 2 * edge), np.float32)


def openness(view: View, world: World, random: np.random.Generator) -> Float32s:
    """Part of the sky (N,) that level ground sees past what stands on it; 1 for everything else.

    One random ray of 1.5 m for each point, then a blur among the ground's pixels: soft shade under cars and feet.
    """
    import cv2

    points = view.points
    level = np.flatnonzero((points.normal[:, 2] > 0.95) & (points.depth < 40))
    # Every second pixel will do, since what is found is blurred.
    central = level[level < view.central][::2]
    result = np.ones(len(points.ray), np.float32)
    if not len(central):
        return result
    turn = random.random(len(central), np.float32) * np.float32(2 * np.pi)
    sine = np.sqrt(random.random(len(central), np.float32)) * np.float32(0.98)
    upward = np.stack((sine * np.cos(turn), sine * np.sin(turn), np.sqrt(1 - sine * sine)), axis=1) * np.float32(1.5)
    origins = points.position[central] + np.array([0, 0, 0.01], np.float32)
    counts = np.zeros((*view.shape, 2), np.float32)
    counts.reshape(-1, 2)[points.ray[central]] = 1
    counts.reshape(-1, 2)[points.ray[central], 0] = ~world.occluded(origins, upward)
    width = max(3, view.shape[1] // 64) | 1
    for across, down in ((width, width // 2 | 1), (width // 2 | 1, width // 2 | 1)):
        counts = np.asarray(cv2.blur(counts, (across, down)), np.float32)
    soft = (counts[..., 0] / np.maximum(counts[..., 1], 1e-6)).reshape(-1)
    result[level] = soft[view.pixel_of(points.ray[level])]
    return result


def smoke_thickness(
    origin: Float32s, unit: Float32s, distance: Float32s, puffs: tuple[Puff, ...], seconds: float
) -> Float32s:
    """Optical thickness (R,) of smoke along rays, integrated through each Gaussian puff."""
    total = np.zeros(len(distance), np.float32)
    far = np.minimum(distance, np.float32(1e4))
    for puff in puffs:
        centre = np.array(puff.centre, np.float32) + np.float32(seconds) * np.array(puff.drift, np.float32)
        to_centre = centre - origin
        nearest = along(unit, to_centre)
        off_axis = np.maximum(np.sum(to_centre * to_centre) - nearest * nearest, 0)
        scale = np.float32(1 / (np.sqrt(2) * puff.spread))
        crossed = np.flatnonzero(off_axis * scale**2 < 9)
        nearest, off_axis = nearest[crossed], off_axis[crossed]
        through = _erf((far[crossed] - nearest) * scale) - _erf(-nearest * scale)
        strength = np.float32(puff.thickness * puff.spread * np.sqrt(np.pi / 2))
        total[crossed] += strength * np.exp(-off_axis * scale**2) * through
    # Smoke is never smooth: billows, finer than the puffs, go with the wind.
    drift = np.float32(seconds) * np.array(puffs[0].drift, np.float32)
    at = origin + unit * np.minimum(distance, 12)[:, None] - drift
    billows = value_noise(at[:, 0] + at[:, 1], at[:, 2] - 0.3 * at[:, 0], 1.1) + 0.6 * value_noise(
        at[:, 1], at[:, 2], 0.45
    )
    return np.asarray(total * np.exp(np.float32(0.35) * billows), np.float32)


def _erf(x: Float32s) -> Float32s:
    """Error function within 4e-4 (tanh form), fast on arrays."""
    near = np.clip(x, -4, 4)
    return np.asarray(np.tanh(near * (np.float32(1.1283792) + np.float32(0.1009) * near * near)), np.float32)
