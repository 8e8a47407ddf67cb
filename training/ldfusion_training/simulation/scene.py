"""One simulated scene: its climate, its things, its rig, and its frames one after another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics, rays
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.errors import InputError
from ldfusion_training.simulation.config import INDOOR_KINDS, Distortion, SimulationConfig
from ldfusion_training.simulation.rendering.raycast import Float32s, SurfaceTable, World, place_things
from ldfusion_training.simulation.rendering.shading import Spot, View, look, openness, rotate, sun_on
from ldfusion_training.simulation.rendering.thermal import ThermalSensor, apparent_temperature, infrared_transmission
from ldfusion_training.simulation.rendering.visible import Exposure, photograph, visible_light
from ldfusion_training.simulation.scenery import indoors, outdoors
from ldfusion_training.simulation.scenery.climate import Climate, draw_climate
from ldfusion_training.simulation.scenery.describe import Seen, describe, objects_seen
from ldfusion_training.simulation.scenery.meshes import Floats
from ldfusion_training.simulation.scenery.routes import Layout, Route, as_robot
from ldfusion_training.simulation.scenery.things import CLASSES, LampLight

EPOCH_NS = 1_700_000_000 * 10**9
"""Stamp of the first frame of scene 0; every scene starts a day after the one before."""
OPTICAL_T_BODY = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
"""Points in a body frame (x forward, z up) to the optical frame (z forward) at the same place."""
ROBOT_FIELDS_OF_VIEW = (40.0, 110.0)
MOST_LAMPS = 10
FAINTEST = 0.05
"""Descriptions leave out what sends less of its radiance to the thermal camera."""
# Each takes random numbers, the climate and the seconds that the rig drives.
LAYOUTS: dict[str, Callable[[np.random.Generator, Climate, float], Layout]] = {
    'street': outdoors.street,
    'parking_lot': outdoors.parking_lot,
    'campus_path': outdoors.campus_path,
    'warehouse_aisle': indoors.warehouse_aisle,
    'corridor': indoors.corridor,
    'tunnel': indoors.tunnel,
}
WEATHER_WEIGHTS = {'clear': 0.45, 'overcast': 0.2, 'fog': 0.1, 'smoke': 0.25}


@dataclass(frozen=True)
class Frame:
    """What the rig records and knows at one instant.

    Attributes:
        index, stamp_ns: number in the scene, and time in nanoseconds.
        visible: (H, W, 3) uint8 RGB.
        thermal: (h, w) uint8 after gain control; thermal_raw: (h, w) uint16 counts of 0.01 K.
        depth: (H, W) float32 metres along the optical axis of the visible camera; NaN where nothing is.
        depth_thermal: (h, w) of the thermal camera, the same array in an aligned rig.
        instance: (H, W) uint16, 0 = nothing; classes: (H, W) uint8, index into CLASSES.
        instance_thermal: (h, w) of the thermal camera.
        world_T_visible: (4, 4), points in the visible camera's optical frame to the world.
        text: a description; objects: what it is made from.
    """

    index: int
    stamp_ns: int
    visible: npt.NDArray[np.uint8]
    thermal: npt.NDArray[np.uint8]
    thermal_raw: npt.NDArray[np.uint16]
    depth: npt.NDArray[np.float32]
    depth_thermal: npt.NDArray[np.float32]
    instance: npt.NDArray[np.uint16]
    instance_thermal: npt.NDArray[np.uint16]
    classes: npt.NDArray[np.uint8]
    world_T_visible: Floats  # noqa: N815 (the usual name for a transform)
    text: str
    objects: tuple[Seen, ...]


@dataclass(frozen=True)
class Scene:
    """What stays the same over a scene's frames."""

    index: int
    kind: str
    climate: Climate
    layout: Layout
    visible: Intrinsics
    thermal: Intrinsics
    thermal_T_visible: Floats  # noqa: N815


def draw_scene(config: SimulationConfig, index: int) -> Scene:
    """The scene of that number; kinds and lights take turns so that few scenes already show all."""
    pairs = [(kind, light) for kind in config.kinds for light in config.lights]
    np.random.default_rng([config.seed, 1]).shuffle(pairs)
    kind, light = pairs[index % len(pairs)]
    random = np.random.default_rng([config.seed, 2, index])
    weather = _draw_weather(random, kind, config.weathers)
    climate = draw_climate(random, light, weather, kind in INDOOR_KINDS)
    layout = LAYOUTS[kind](random, climate, config.frames / config.rate_hz)
    thermal_from_visible = np.eye(4)
    thermal_from_visible[0, 3] = -config.baseline_m
    visible, thermal = config.visible_camera, config.thermal_camera
    if config.robot_cameras:
        random = np.random.default_rng([config.seed, 5, index])
        layout = replace(layout, route=as_robot(random, layout.route, 2.0 if kind == 'corridor' else 3.0))
        degrees = random.uniform(*ROBOT_FIELDS_OF_VIEW)
        visible = thermal = Intrinsics.from_field_of_view(config.width, config.height, degrees)
    return Scene(index, kind, climate, layout, visible, thermal, thermal_from_visible)


def _draw_weather(random: np.random.Generator, kind: str, weathers: tuple[str, ...]) -> str:
    """One of the weathers; under a roof only smoke or none, and most often smoke in a tunnel."""
    weights = np.array([WEATHER_WEIGHTS[weather] for weather in weathers])
    if kind == 'tunnel':
        weights = weights * np.array([6.0 if weather == 'smoke' else 1.0 for weather in weathers])
    weather = weathers[int(random.choice(len(weights), p=weights / weights.sum()))]
    return 'clear' if kind in INDOOR_KINDS and weather != 'smoke' else weather


def simulate_scene(config: SimulationConfig, index: int) -> Iterator[Frame]:
    """Yield the frames of a scene in order.

    Args:
        config: the settings; the scene depends on them and on its index only.
        index: number of the scene, 0 or more.
    """
    yield from Rig(config, draw_scene(config, index)).frames()


class Rig:
    """Cameras that go through a scene and record it."""

    def __init__(self, config: SimulationConfig, scene: Scene) -> None:
        self.scene = scene
        self._config = config
        self._random = np.random.default_rng([config.seed, 3, scene.index])
        numbered = list(enumerate(scene.layout.things, start=1))
        self._table = SurfaceTable()
        self._world = World(place_things([pair for pair in numbered if not pair[1].moves], 0.0, self._table))
        self._moving = [pair for pair in numbered if pair[1].moves]
        self._class_of = np.array([0] + [CLASSES.index(thing.name) for _, thing in numbered], np.uint8)
        self._sensor = ThermalSensor(scene.thermal.width, scene.thermal.height, self._random)
        self._gain_control = GainControl()
        self._exposure = Exposure()
        self._directions = camera_rays(scene.visible, config.distortion)
        self._thermal_directions = (
            self._directions if config.aligned else camera_rays(scene.thermal, (0.0, 0.0, 0.0, 0.0, 0.0))
        )
        self._sway_phase = self._random.uniform(0, 2 * np.pi, 3)

    def frames(self) -> Iterator[Frame]:
        """Frames at the configured rate."""
        for index in range(self._config.frames):
            yield self.frame(index)

    def frame(self, index: int) -> Frame:
        """The frame of that number. Exposure, gain and sensor go on from the frame asked for before."""
        scene, climate = self.scene, self.scene.climate
        seconds = index / self._config.rate_hz
        self._world.place(place_things(self._moving, seconds, self._table))
        camera = self._camera_pose(seconds)
        view = self._look(camera, self._directions, scene.visible, seconds)
        sun = sun_on(view.points, climate, self._world)
        open_sky = openness(view, self._world, self._random)
        light = visible_light(view, sun, self._spots(camera, seconds), open_sky, self._world, climate)
        visible = photograph(light, self._motion(view, seconds), self._exposure, self._random)
        depth, instance = view.truth()
        seen = objects_seen(scene.layout.things, self._perceptible(view, instance), depth)
        if not self._config.aligned:
            camera_thermal = camera @ np.linalg.inv(scene.thermal_T_visible)
            view = self._look(camera_thermal, self._thermal_directions, scene.thermal, seconds)
            sun = sun_on(view.points, climate, self._world)
        depth_thermal, instance_thermal = view.truth()
        raw = self._sensor.read(apparent_temperature(view, sun, climate), self._random)
        wording = np.random.default_rng([self._config.seed, 4, scene.index, index])
        return Frame(
            index=index,
            stamp_ns=EPOCH_NS + scene.index * 86_400 * 10**9 + round(seconds * 1e9),
            visible=visible,
            thermal=self._gain_control(raw),
            thermal_raw=raw,
            depth=depth,
            depth_thermal=depth_thermal,
            instance=instance,
            instance_thermal=instance_thermal,
            classes=self._class_of[instance],
            world_T_visible=camera,
            text=describe(wording, scene.kind, climate, seen),
            objects=tuple(seen),
        )

    def _perceptible(self, view: View, instance: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """Instance ids (H, W) of what reaches at least one camera: infrared goes farther through air and smoke."""
        transmission = infrared_transmission(view, self.scene.climate)[: instance.size].reshape(instance.shape)
        return np.where(transmission > FAINTEST, instance, 0).astype(np.uint16)

    def _look(self, camera: Floats, pixel_rays: Float32s, intrinsics: Intrinsics, seconds: float) -> View:
        shape = intrinsics.height, intrinsics.width
        return look(camera, pixel_rays, shape, self._world, self._table, self.scene.climate, seconds)

    def _camera_pose(self, seconds: float) -> Floats:
        return camera_pose(self.scene.layout.route, seconds, self._sway_phase)

    def _spots(self, camera: Floats, seconds: float) -> list[Spot]:
        """The lamps nearest to what lies ahead."""
        spots = [_spot(lamp, camera @ OPTICAL_T_BODY, shadows=False) for lamp in self.scene.layout.route.lamps]
        for thing in self.scene.layout.things:
            if thing.lamps:
                place = thing.motion.poses(seconds)[0]
                spots += [_spot(lamp, place, shadows=True) for lamp in thing.lamps]
        ahead = camera[:3, 3] + 12 * camera[:3, 2]
        distance = [float(np.sum((spot.position - ahead) ** 2)) for spot in spots]
        return [spots[i] for i in np.argsort(distance, kind='stable')[:MOST_LAMPS]]

    def _motion(self, view: View, seconds: float) -> Float32s:
        """Speed (H, W, 2) of the image in pixels per second."""
        step = 1 / 60
        later = np.linalg.inv(self._camera_pose(seconds + step)).astype(np.float32)
        speeds = np.zeros((len(self._class_of), 3), np.float32)
        for number, thing in self._moving:
            speeds[number] = (thing.motion.poses(seconds + step)[0] - thing.motion.poses(seconds)[0])[:3, 3]
        camera = self.scene.visible
        flow = np.zeros((camera.height * camera.width, 2), np.float32)
        points, count = view.points, view.central
        rays = points.ray[:count]
        moved = rotate(points.position[:count] + speeds[points.instance[:count]], later[:3, :3]) + later[:3, 3]
        ahead = np.maximum(moved[:, 2:], 0.05)
        scale = np.array([camera.fx, camera.fy], np.float32) / np.float32(step)
        flow[rays] = (moved[:, :2] / ahead - self._directions[rays, :2]) * scale
        return flow.reshape(camera.height, camera.width, 2)


def _spot(lamp: LampLight, place: Floats, shadows: bool) -> Spot:
    direction = place[:3, :3] @ np.array(lamp.direction)
    return Spot(
        (place[:3, :3] @ np.array(lamp.position) + place[:3, 3]).astype(np.float32),
        (direction / np.linalg.norm(direction)).astype(np.float32),
        np.array(lamp.colour, np.float32),
        float(np.cos(np.radians(lamp.cone))),
        lamp.reach,
        shadows,
    )


def camera_rays(camera: Intrinsics, distortion: Distortion) -> Float32s:
    """Directions (H*W, 3) with z = 1 of all pixels, row by row, through a lens with plumb bob distortion.

    Raises:
        InputError: the lens maps no direction to some pixel, or several.
    """
    directions = rays(camera).reshape(-1, 3)
    if any(distortion):
        seen = directions[:, :2].astype(np.float64)
        ideal = seen.copy()
        # OpenCV's own inversion stops after five rounds; depth is to be exact.
        with np.errstate(over='ignore', invalid='ignore'):
            for _ in range(50):
                ideal += seen - distort(ideal, distortion)
            worst = float(np.nan_to_num(np.abs(distort(ideal, distortion) - seen), nan=np.inf).max()) * camera.fx
        if worst > 0.01:
            raise InputError(f'distortion {distortion}: too strong for this field of view; choose smaller values')
        directions[:, :2] = ideal
    return directions


def distort(points: Floats, distortion: Distortion) -> Floats:
    """Where ideal normalised image points (N, 2) fall behind a lens k1, k2, p1, p2, k3."""
    k1, k2, p1, p2, k3 = distortion
    x, y = points.T
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    return np.stack(
        (
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        ),
        axis=1,
    )


def camera_pose(route: Route, seconds: float, phase: npt.NDArray[np.float64]) -> Floats:
    """World pose (4, 4) of the visible camera's optical frame on its way."""
    yaw = route.yaw + route.sway * np.sin(1.7 * seconds + phase[0])
    pitch = route.pitch + 0.5 * route.sway * np.sin(5.1 * seconds + phase[1])
    bob = 0.6 * route.sway * np.sin(6.3 * seconds + phase[2])
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = np.cross(forward, right)
    cosine, sine = np.cos(route.roll), np.sin(route.roll)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((cosine * right + sine * down, cosine * down - sine * right, forward), axis=1)
    matrix[:3, 3] = route.speed * seconds, route.side, route.height + bob
    return matrix
