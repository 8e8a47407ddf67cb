"""People: standing, walking, sitting."""

from dataclasses import dataclass, replace

import numpy as np

from ldfusion_training.simulation.scenery.climate import Climate
from ldfusion_training.simulation.scenery.meshes import (
    Floats,
    Mesh,
    capsule,
    cylinder,
    ellipsoid,
    join,
    pose,
    revolve,
)
from ldfusion_training.simulation.scenery.things import Colour, Glide, Pattern, Piece, Random, Surface, Thing, pick

SKIN_KELVIN = 306.0
CLOTHES: tuple[Colour, ...] = (
    (0.03, 0.03, 0.05), (0.04, 0.06, 0.15), (0.35, 0.05, 0.05), (0.5, 0.5, 0.48), (0.1, 0.2, 0.1), (0.5, 0.35, 0.06),
    (0.15, 0.12, 0.1), (0.08, 0.25, 0.35), (0.3, 0.1, 0.3), (0.6, 0.55, 0.1),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (0.03, 0.03, 0.04), (0.04, 0.06, 0.15), (0.08, 0.1, 0.18), (0.2, 0.16, 0.11), (0.12, 0.12, 0.12), (0.3, 0.26, 0.2),
)  # fmt: skip
HAIR: tuple[Colour, ...] = ((0.02, 0.015, 0.01), (0.08, 0.05, 0.03), (0.25, 0.18, 0.08), (0.3, 0.3, 0.3))
# Radius and height of a trunk, feet to head, relative.
TORSO = (
    (0.0, 0.0), (0.8, 0.02), (0.9, 0.1), (0.84, 0.25), (0.95, 0.42), (1.0, 0.5), (0.8, 0.58), (0.32, 0.625),
    (0.0, 0.63),
)  # fmt: skip


@dataclass(frozen=True)
class Joint:
    """Where a limb hangs: its parent's pose turned by a swing about the sideways axis at a point of the parent."""

    x: float
    y: float
    z: float
    swing: float = 0.0
    phase: float = 0.0
    bend: float = 0.0
    parent: int = -1


@dataclass(frozen=True)
class Gait:
    """A body that glides along a path while its limbs swing; ``limb`` names the joint of every piece (-1: the body)."""

    path: Glide
    joints: tuple[Joint, ...]
    limb: tuple[int, ...]
    stride: float
    start: float

    def poses(self, seconds: float) -> list[Floats]:
        """World poses of all pieces."""
        angle = self.start + 2 * np.pi * self.path.speed * seconds / self.stride
        body = self.path.at(seconds) @ pose(z=0.018 * float(np.cos(2 * angle)) if self.path.speed else 0.0)
        frames: list[Floats] = []
        for joint in self.joints:
            parent = body if joint.parent < 0 else frames[joint.parent]
            turn = joint.bend + joint.swing * float(np.sin(angle + joint.phase))
            if joint.parent >= 0:
                turn = joint.bend + joint.swing * max(0.0, float(np.sin(angle + joint.phase)))
            frames.append(parent @ pose(joint.x, joint.y, joint.z, pitch=turn))
        return [body if limb < 0 else frames[limb] for limb in self.limb]


@dataclass(frozen=True)
class Clothes:
    """What a person is made of to look at."""

    jacket: Surface
    trousers: Surface
    skin: Surface
    hair: Surface
    shoes: Surface
    sleeves: Surface


def person(random: Random, climate: Climate, x: float, y: float, yaw: float, speed: float) -> Thing:
    """Somebody standing (speed 0) or walking, with warm skin and clothes between skin and air."""
    s = random.uniform(1.55, 1.95) / 1.78
    build = random.uniform(0.9, 1.2)
    clothes = _clothes(random, climate)
    joints = _joints(random, s, build, speed > 0)
    limbs = _limbs(s, build, clothes)
    if random.random() < 0.35:
        pack = ellipsoid((0.1 * s, 0.16 * s, 0.23 * s)).shift(-(0.125 * s * build) - 0.06 * s, 0, 1.25 * s)
        heat = (SKIN_KELVIN - climate.air) * 0.12
        limbs.append((pack, Surface(pick(random, CLOTHES), Pattern.CLOTH, heat=heat, cooling=0.5), -1))
    start = float(random.uniform(0, 2 * np.pi))
    motion = Gait(Glide(x, y, yaw, speed), joints, tuple(limb for _, _, limb in limbs), 1.45 * s, start)
    pieces = tuple(Piece(mesh, surface) for mesh, surface, _ in limbs)
    return Thing('person', pieces, motion, traits=('walking' if speed > 0 else 'standing', 'warm'))


def _clothes(random: Random, climate: Climate) -> Clothes:
    """Clothes lie between skin and air: a coat insulates more than a shirt."""
    warm = SKIN_KELVIN - climate.air
    cold = climate.air < 288
    insulation = random.uniform(0.25, 0.42) if cold else random.uniform(0.5, 0.75)
    jacket = Surface(pick(random, CLOTHES), Pattern.CLOTH, heat=warm * insulation, solar=5.0, cooling=0.0)
    trousers = Surface(
        pick(random, TROUSERS), Pattern.CLOTH, heat=warm * random.uniform(0.3, 0.5), solar=5.0, cooling=0.0
    )
    tone = random.uniform(0.25, 1.0)
    colour = round(0.55 * tone, 4), round(0.36 * tone, 4), round(0.27 * tone, 4)
    skin = Surface(colour, heat=warm, solar=1.0, emissivity=0.98, cooling=0.0)
    hair = Surface(pick(random, HAIR), Pattern.CLOTH, heat=warm * 0.55, solar=6.0, cooling=0.0)
    shoes = Surface((0.03, 0.025, 0.02), heat=warm * 0.25, cooling=0.0)
    short_sleeves = not cold and random.random() < 0.6
    return Clothes(jacket, trousers, skin, hair, shoes, skin if short_sleeves else jacket)


def _joints(random: Random, s: float, build: float, walking: bool) -> tuple[Joint, ...]:
    """Hip and knee of either side, then shoulder and elbow of either side."""
    hips, shoulders, thigh, upper = 0.93 * s, 1.41 * s, 0.43 * s, 0.29 * s
    half, reach = 0.095 * s, 0.19 * s * build
    leg_swing, arm_swing, knee = (0.48, 0.42, 0.75) if walking else (0.0, 0.0, 0.0)
    stance, elbow = random.uniform(0.0, 0.08), -random.uniform(0.2, 1.4)
    return (
        Joint(0, half, hips, leg_swing, 0.0, stance), Joint(0, 0, -thigh, knee, -1.9, 0.06, 0),
        Joint(0, -half, hips, leg_swing, np.pi, -stance), Joint(0, 0, -thigh, knee, np.pi - 1.9, 0.06, 2),
        Joint(0, reach, shoulders, arm_swing, np.pi), Joint(0, 0, -upper, -0.3 * walking, np.pi, -0.25, 4),
        Joint(0, -reach, shoulders, arm_swing, 0.0), Joint(0, 0, -upper, -0.3 * walking, 0.0, elbow, 6),
    )  # fmt: skip


def _limbs(s: float, build: float, clothes: Clothes) -> list[tuple[Mesh, Surface, int]]:
    """Meshes of a body of size ``s``, what covers them, and the joints they hang at (-1: the body)."""
    hips, thigh, shin, upper, fore = 0.93 * s, 0.43 * s, 0.40 * s, 0.29 * s, 0.25 * s
    wide, deep = 0.2 * s * build, 0.125 * s * build
    torso = revolve(list(TORSO), 14).scale(deep, wide, s * 0.98).shift(0, 0, hips - 0.08 * s)
    pelvis = ellipsoid((deep * 0.95, wide * 0.86, 0.14 * s)).shift(0, 0, hips)
    head = ellipsoid((0.1 * s, 0.08 * s, 0.125 * s), 14, 10).shift(0.015, 0, 1.645 * s)
    nose = ellipsoid((0.02 * s, 0.014 * s, 0.02 * s), 6, 4).shift(0.115 * s, 0, 1.635 * s)
    neck = cylinder(0.052 * s, 0.12 * s).shift(0, 0, 1.49 * s)
    cap = ellipsoid((0.108 * s, 0.09 * s, 0.1 * s), 14, 8).shift(-0.02 * s, 0, 1.695 * s)
    hand = ellipsoid((0.045 * s, 0.025 * s, 0.08 * s), 8, 6).shift(0.01, 0, -fore - 0.06 * s)
    foot = ellipsoid((0.14 * s, 0.05 * s, 0.045 * s), 10, 6).shift(0.06 * s, 0, -shin - 0.045 * s)
    limbs: list[tuple[Mesh, Surface, int]] = [
        (torso, clothes.jacket, -1), (pelvis, clothes.trousers, -1),
        (join(head, neck, nose), clothes.skin, -1), (cap, clothes.hair, -1),
    ]  # fmt: skip
    for leg in (0, 2):
        limbs.append((capsule(thigh, 0.085 * s * build, 0.062 * s * build), clothes.trousers, leg))
        limbs.append((capsule(shin, 0.062 * s * build, 0.045 * s * build), clothes.trousers, leg + 1))
        limbs.append((foot, clothes.shoes, leg + 1))
    for arm in (4, 6):
        limbs.append((capsule(upper, 0.055 * s * build, 0.044 * s * build), clothes.jacket, arm))
        limbs.append((capsule(fore, 0.042 * s * build, 0.034 * s * build), clothes.sleeves, arm + 1))
        limbs.append((hand, clothes.skin, arm + 1))
    return limbs


def seated_person(random: Random, climate: Climate, path: Glide, seat: tuple[float, float], pedalling: bool) -> Thing:
    """A person who sits at ``seat`` (x, z of the hips) of a vehicle, hands forward; feet go round if ``pedalling``."""
    walker = person(random, climate, path.x, path.y, path.yaw, 0.0)
    assert isinstance(walker.motion, Gait)
    back, lift = seat[0], seat[1] - walker.motion.joints[0].z
    thigh, shin = (0.35, 0.5) if pedalling else (0.0, 0.0)
    legs, arms = ((-1.0, 0.9), (-0.85, -0.35)) if pedalling else ((-1.35, 1.3), (-0.6, -0.7))
    bends = (*legs, *legs, *arms, *arms)
    swings = (thigh, shin, thigh, shin, 0.0, 0.0, 0.0, 0.0)
    phases = (0.0, 0.5, np.pi, np.pi + 0.5, 0.0, 0.0, 0.0, 0.0)
    joints = tuple(
        replace(joint, x=joint.x + back, z=joint.z + lift, swing=swing, phase=phase, bend=bend)
        if joint.parent < 0
        else replace(joint, swing=swing, phase=phase, bend=bend)
        for joint, swing, phase, bend in zip(walker.motion.joints, swings, phases, bends, strict=True)
    )
    motion = Gait(path, joints, walker.motion.limb, 4.0, float(random.uniform(0, 6)))
    pieces = tuple(
        replace(piece, mesh=piece.mesh.shift(back, 0.0, lift)) if limb < 0 else piece
        for piece, limb in zip(walker.pieces, walker.motion.limb, strict=True)
    )
    return Thing('person', pieces, motion, traits=('cycling' if pedalling else 'driving', 'warm'))
