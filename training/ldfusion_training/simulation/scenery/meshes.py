"""Triangle meshes of simple bodies, with the normals and surface coordinates that shading needs."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Triangles with attributes at their corners.

    Attributes:
        corners: positions (T, 3, 3) in metres.
        normals: unit normals (T, 3, 3); equal at the three corners of a flat triangle.
        uv: surface coordinates (T, 3, 2) in metres, what textures are laid out by.
    """

    corners: Floats
    normals: Floats
    uv: Floats

    def move(self, pose: Floats) -> 'Mesh':
        """The mesh under a rigid pose (4, 4)."""
        rotation = pose[:3, :3].T
        return Mesh(self.corners @ rotation + pose[:3, 3], self.normals @ rotation, self.uv)

    def scale(self, x: float, y: float, z: float) -> 'Mesh':
        """The mesh stretched along its axes; normals follow, surface coordinates grow with the mean."""
        scale = np.array([x, y, z])
        normals = self.normals / scale
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        return Mesh(self.corners * scale, normals, self.uv * float(scale.mean()))

    def shift(self, x: float, y: float, z: float) -> 'Mesh':
        """The mesh moved by an offset in metres."""
        return Mesh(self.corners + np.array([x, y, z]), self.normals, self.uv)


def join(*meshes: Mesh) -> Mesh:
    """All triangles of several meshes."""
    return Mesh(
        np.concatenate([mesh.corners for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
    )


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0) -> Floats:
    """Rigid pose (4, 4): turn by ``pitch`` about y (nose down is positive), then ``yaw`` about z, then shift."""
    cos_yaw, sin_yaw, cos_pitch, sin_pitch = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    matrix = np.eye(4)
    matrix[:3, :3] = (
        (cos_yaw * cos_pitch, -sin_yaw, cos_yaw * sin_pitch),
        (sin_yaw * cos_pitch, cos_yaw, sin_yaw * sin_pitch),
        (-sin_pitch, 0.0, cos_pitch),
    )
    matrix[:3, 3] = x, y, z
    return matrix


def flat(corners: Floats, uv: Floats) -> Mesh:
    """Triangles (T, 3, 3) with one normal each."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return Mesh(corners, np.repeat(normals[:, None], 3, axis=1), uv)


def quads(corners: Floats, uv: Floats | None = None) -> Mesh:
    """Flat quadrilaterals (Q, 4, 3), counter-clockwise from outside; ``uv`` (Q, 4, 2) is made from edges if absent."""
    if uv is None:
        along = corners[:, 1] - corners[:, 0]
        length = np.maximum(np.linalg.norm(along, axis=1), 1e-9)
        normal = np.cross(along, corners[:, 3] - corners[:, 0])
        up = np.cross(normal, along)
        up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
        offset = corners - corners[:, :1]
        uv = np.stack(
            (np.einsum('qki,qi->qk', offset, along / length[:, None]), np.einsum('qki,qi->qk', offset, up)), axis=-1
        )
    return flat(_to_triangles(corners), _to_triangles(uv))


def _to_triangles(quadrilaterals: Floats) -> Floats:
    """Values (Q, 4, C) at the corners of quadrilaterals to those (2 Q, 3, C) of triangles."""
    return quadrilaterals[:, np.array([[0, 1, 2], [0, 2, 3]])].reshape(-1, 3, quadrilaterals.shape[-1])


def box(size: tuple[float, float, float], centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mesh:
    """A box with edges along the axes; on side walls u runs along the wall and v up from its foot."""
    x, y, z = (length / 2 for length in size)
    corners = np.array(
        [
            [(-x, -y, -z), (x, -y, -z), (x, -y, z), (-x, -y, z)],
            [(x, y, -z), (-x, y, -z), (-x, y, z), (x, y, z)],
            [(x, -y, -z), (x, y, -z), (x, y, z), (x, -y, z)],
            [(-x, y, -z), (-x, -y, -z), (-x, -y, z), (-x, y, z)],
            [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)],
            [(-x, y, -z), (x, y, -z), (x, -y, -z), (-x, -y, -z)],
        ]
    )
    return quads(corners + np.array(centre))


def floor(x: tuple[float, float], y: tuple[float, float], z: float = 0.0, step: float = 8.0) -> Mesh:
    """A level rectangle facing up in tiles of about ``step`` metres; u and v are x and y."""
    xs = np.linspace(*x, max(2, round((x[1] - x[0]) / step) + 1))
    ys = np.linspace(*y, max(2, round((y[1] - y[0]) / step) + 1))
    left, bottom = np.meshgrid(xs[:-1], ys[:-1], indexing='ij')
    right, top = np.meshgrid(xs[1:], ys[1:], indexing='ij')
    around = (left, bottom), (right, bottom), (right, top), (left, top)
    uv = np.stack([np.stack(corner, axis=-1).reshape(-1, 2) for corner in around], axis=1)
    return quads(np.concatenate((uv, np.full((*uv.shape[:2], 1), z)), axis=-1), uv)


def loft(sections: Floats, closed: bool = True) -> Mesh:
    """Skin over sections (S, K, 3), rings of K points each; ``closed`` joins the last point of a ring to its first."""
    ring = np.concatenate((sections, sections[:, :1]), axis=1) if closed else sections
    return quads(np.stack((ring[:-1, :-1], ring[1:, :-1], ring[1:, 1:], ring[:-1, 1:]), axis=2).reshape(-1, 4, 3))


def fan(ring: Floats) -> Mesh:
    """A flat cap over a convex ring (K, 3)."""
    following = np.roll(ring, -1, axis=0)
    corners = np.stack((np.broadcast_to(ring.mean(0), ring.shape), ring, following), axis=1)
    return flat(corners, corners[..., :2].copy())


def revolve(profile: list[tuple[float, float]], segments: int = 12, smooth: bool = True) -> Mesh:
    """A body of revolution about z from (radius, height) points, lowest first.

    ``smooth`` rounds the profile's corners (sphere, capsule); otherwise they stay sharp (cylinder with caps).
    """
    radius, height = np.array(profile, np.float64).T
    along = np.stack((np.diff(radius), np.diff(height)), axis=1)
    outward = np.stack((along[:, 1], -along[:, 0]), axis=1)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-12)
    lower, upper = outward, outward
    if smooth:
        padded = np.concatenate((outward[:1], outward, outward[-1:]))
        point = padded[:-1] + padded[1:]
        point[0] = (0.0, -1.0) if radius[0] == 0 else point[0]
        point[-1] = (0.0, 1.0) if radius[-1] == 0 else point[-1]
        point /= np.maximum(np.linalg.norm(point, axis=1, keepdims=True), 1e-12)
        lower, upper = point[:-1], point[1:]
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    cosine, sine = np.cos(angle), np.sin(angle)

    def around(r: Floats, z: Floats) -> Floats:
        return np.stack((r[:, None] * cosine, r[:, None] * sine, np.broadcast_to(z[:, None], (len(z), len(angle)))), -1)

    def corners_of(low: Floats, high: Floats) -> Floats:
        return np.stack((low[:, :-1], low[:, 1:], high[:, 1:], high[:, :-1]), axis=2).reshape(-1, 4, low.shape[-1])

    corners = corners_of(around(radius[:-1], height[:-1]), around(radius[1:], height[1:]))
    normals = corners_of(around(*lower.T), around(*upper.T))
    distance = np.concatenate(([0.0], np.cumsum(np.linalg.norm(along, axis=1))))
    u = np.broadcast_to(angle * max(radius.max(), 1e-6), (len(radius), len(angle)))
    surface = np.stack((u, np.broadcast_to(distance[:, None], u.shape)), -1)
    uv = corners_of(surface[:-1], surface[1:])
    mesh = Mesh(_to_triangles(corners), _to_triangles(normals), _to_triangles(uv))
    edges = mesh.corners[:, 1:] - mesh.corners[:, :1]
    kept = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 1e-12
    return Mesh(mesh.corners[kept], mesh.normals[kept], mesh.uv[kept])


def cylinder(radius: float, height: float, segments: int = 12, top_radius: float | None = None) -> Mesh:
    """A closed cylinder or cone standing on the origin."""
    top = radius if top_radius is None else top_radius
    return revolve([(0.0, 0.0), (radius, 0.0), (top, height), (0.0, height)], segments, smooth=False)


def ellipsoid(radii: tuple[float, float, float], segments: int = 12, rings: int = 8) -> Mesh:
    """An ellipsoid about the origin."""
    return _unit_sphere(segments, rings).scale(*radii)


@cache
def _unit_sphere(segments: int, rings: int) -> Mesh:
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    profile = [(abs(float(np.cos(a))) if 0 < i < rings else 0.0, float(np.sin(a))) for i, a in enumerate(latitude)]
    return revolve(profile, segments)


@cache
def _unit_cylinder(segments: int) -> Mesh:
    return cylinder(1.0, 1.0, segments)


def capsule(length: float, radius: float, end_radius: float | None = None, segments: int = 10) -> Mesh:
    """A limb from the origin down to z = -length, with round ends."""
    end = radius if end_radius is None else end_radius
    arc = np.linspace(-np.pi / 2, 0, 4)
    lower = [(end * float(np.cos(a)), -length + end * float(np.sin(a))) for a in arc]
    upper = [(radius * float(np.cos(a)), -radius * float(np.sin(a))) for a in arc[::-1]]
    lower[0], upper[-1] = (0.0, lower[0][1]), (0.0, upper[-1][1])
    return revolve(lower + upper, segments)


def between(mesh: Mesh, start: tuple[float, float, float], end: tuple[float, float, float]) -> Mesh:
    """Turn a mesh that stands along z so that it runs from ``start`` towards ``end``."""
    axis = np.subtract(end, start)
    axis = axis / np.linalg.norm(axis)
    side = np.cross((0.0, 1.0, 0.0) if abs(axis[1]) < 0.9 else (1.0, 0.0, 0.0), axis)
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((side, np.cross(axis, side), axis), axis=1)
    matrix[:3, 3] = start
    return mesh.move(matrix)


def rod(start: tuple[float, float, float], end: tuple[float, float, float], radius: float, segments: int = 8) -> Mesh:
    """A round bar from ``start`` to ``end``."""
    length = float(np.linalg.norm(np.subtract(end, start)))
    return between(_unit_cylinder(segments).scale(radius, radius, length), start, end)
