"""Exact ray casting into a scene of triangles (Embree)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.scenery.things import Surface, Thing

Float32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Triangles:
    """Triangles in the world with what shading needs to know.

    Attributes:
        corners: (T, 3, 3) float32 metres.
        packed: (T, 3, 6) float32 at the corners: normal, u, v, heat in kelvin.
        surface: (T,) index into the scene's list of surfaces.
        instance: (T,) instance id.
    """

    corners: Float32s
    packed: Float32s
    surface: Ints
    instance: Ints


class SurfaceTable:
    """Surfaces by number, each kept once."""

    def __init__(self) -> None:
        self.surfaces: list[Surface] = []
        self._number: dict[Surface, int] = {}

    def number(self, surface: Surface) -> int:
        """The surface's index, a new one at its first use."""
        if surface not in self._number:
            self._number[surface] = len(self.surfaces)
            self.surfaces.append(surface)
        return self._number[surface]


def place_things(things: Iterable[tuple[int, Thing]], seconds: float, table: SurfaceTable) -> Triangles:
    """All triangles of numbered things at a time."""
    corners, packed = [np.zeros((0, 3, 3))], [np.zeros((0, 3, 6))]
    surface, instance = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for number, thing in things:
        poses = thing.motion.poses(seconds)
        for index, piece in enumerate(thing.pieces):
            mesh = piece.mesh.move(poses[index] if len(poses) > 1 else poses[0])
            count = len(mesh.corners)
            corners.append(mesh.corners)
            heat = np.zeros((count, 3)) if piece.heat is None else piece.heat
            packed.append(np.concatenate((mesh.normals, mesh.uv, heat[..., None]), axis=-1))
            surface.append(np.full(count, table.number(piece.surface), np.int32))
            instance.append(np.full(count, number, np.int32))
    return Triangles(
        np.concatenate(corners).astype(np.float32),
        np.concatenate(packed).astype(np.float32),
        np.concatenate(surface),
        np.concatenate(instance),
    )


@dataclass(frozen=True)
class Hits:
    """Where rays met a surface; all arrays have one row for each ray that hit.

    Attributes:
        ray: (N,) index of the ray.
        distance: (N,) in lengths of the ray's direction; depth for directions with z = 1 in the camera.
        triangle: (N,) index into ``triangles``.
        weights: (N, 3) barycentric.
        triangles: of the world that was asked.
    """

    ray: npt.NDArray[np.int64]
    distance: Float32s
    triangle: Ints
    weights: Float32s
    triangles: Triangles


class World:
    """Things that stand still, prepared once, and things that move, placed for one instant."""

    def __init__(self, still: Triangles) -> None:
        self._still = still
        self._still_scene = _commit(still)
        self._moving_scene: Any = None
        self.triangles = still

    def place(self, moving: Triangles) -> None:
        """Replace the moving part."""
        self._moving_scene = _commit(moving) if len(moving.corners) else None
        self.triangles = Triangles(
            *(
                np.concatenate((getattr(self._still, name), getattr(moving, name)))
                for name in ('corners', 'packed', 'surface', 'instance')
            )
        )

    def cast(self, origins: Float32s, directions: Float32s) -> Hits:
        """Nearest hits of rays (N, 3)."""
        found = self._still_scene.run(origins, directions, output=1)
        distance, triangle, u, v = found['tfar'], found['primID'], found['u'], found['v']
        if self._moving_scene is not None:
            # Few rays meet something that moves: asking for those alone saves most of the answer's arrays.
            rays = np.flatnonzero(self._moving_scene.run(origins, directions, query='INTERSECT') >= 0)
            other = self._moving_scene.run(origins[rays], directions[rays], output=1)
            nearer = np.flatnonzero(other['tfar'] < distance[rays])
            rays = rays[nearer]
            distance[rays], u[rays], v[rays] = (other[name][nearer] for name in ('tfar', 'u', 'v'))
            triangle[rays] = other['primID'][nearer] + len(self._still.corners)
        ray = np.flatnonzero(triangle >= 0)
        u, v = u[ray], v[ray]
        weights = np.stack((1 - u - v, u, v), axis=1)
        triangle = triangle[ray]
        return Hits(ray, distance[ray], triangle, weights, self.triangles)

    def occluded(self, origins: Float32s, directions: Float32s, reach: Float32s | None = None) -> npt.NDArray[np.bool_]:
        """Whether something lies on each ray (N, 3), within ``reach`` (N,) lengths of its direction."""
        if not len(origins):
            return np.zeros(0, np.bool_)
        blocked: npt.NDArray[np.bool_] = self._still_scene.run(origins, directions, dists=reach, query='OCCLUDED') == 0
        if self._moving_scene is not None:
            clear = np.flatnonzero(~blocked)
            if len(clear):
                within = None if reach is None else reach[clear]
                other = self._moving_scene.run(origins[clear], directions[clear], dists=within, query='OCCLUDED')
                blocked[clear] = other == 0
        return blocked


def _commit(triangles: Triangles) -> Any:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(triangles.corners))
    return scene
