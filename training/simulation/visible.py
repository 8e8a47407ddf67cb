"""The visible camera: light towards the lens, and what lens and sensor make of it."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.climate import Climate
from ldfusion_training.simulation.raycast import Float32s, World
from ldfusion_training.simulation.shading import Points, Spot, lamp_light, smoke_thickness
from ldfusion_training.simulation.textures import value_noise


def sky_light(direction: Float32s, climate: Climate) -> Float32s:
    """Radiance (N, 3) of the sky in unit directions (N, 3), with clouds and the glow around the sun."""
    rise = np.clip(direction[:, 2], 0, 1)
    blend = (1 - rise[:, None]) ** 4
    sky = np.array(climate.zenith, np.float32) * (1 - blend) + np.array(climate.horizon, np.float32) * blend
    sky = sky + np.float32(0.0)
    shade = _clouds(direction, climate)
    white = np.float32(np.mean(climate.zenith) * 1.6 + 0.25 * np.mean(climate.sun))
    sky += shade[:, None] * (white - sky)
    towards = np.clip(direction @ np.array(climate.sun_direction, np.float32), 0, 1)
    halo = 0.25 * towards**8 + 6.0 * towards**2000 + 0.8 * towards**120
    sky += halo[:, None] * np.array(climate.sun, np.float32) * (1 - 0.8 * shade[:, None])
    return np.asarray(sky, np.float32)


def _clouds(direction: Float32s, climate: Climate) -> Float32s:
    """Cloud cover (N,), 0 to 1, on a layer far above."""
    height = np.maximum(direction[:, 2], 0.03)
    u, v = direction[:, 0] / height, direction[:, 1] / height
    noise = value_noise(u, v, 1.4) + 0.6 * value_noise(u, v, 0.6) + 0.3 * value_noise(u, v, 0.25)
    return np.asarray(
        np.clip(0.5 + 0.5 * noise + 2.4 * (climate.clouds - 0.6), 0, 1) * np.clip(direction[:, 2] * 12, 0, 1),
        np.float32,
    )


def sky_emission(direction: Float32s, climate: Climate) -> Float32s:
    """Cloud cover that the infrared camera sees too (N,)."""
    return _clouds(direction, climate)


@dataclass(frozen=True)
class VisibleImage:
    """Light on the sensor (H, W, 3), linear, and its transmission (H, W) through the air."""

    light: Float32s
    transmission: Float32s


def visible_light(
    points: Points, directions: Float32s, origin: Float32s, sun: Float32s, spots: list[Spot], world: World,
    climate: Climate, seconds: float, shape: tuple[int, int],
) -> VisibleImage:  # fmt: skip
    """Linear light (H, W, 3) that reaches the camera from the points and, where there are none, from the sky."""
    look = points.look
    up = points.normal[:, 2:3]
    ambient_sky, ambient_ground = _ambient(climate)
    irradiance = ambient_sky * (0.5 + 0.5 * up) + ambient_ground * (0.5 - 0.5 * up)
    irradiance = irradiance + sun[:, None] * np.array(climate.sun, np.float32)
    weakest = 0.02 * float(max(np.mean(irradiance), 0.003))
    irradiance = irradiance + lamp_light(points, spots, world, weakest)
    fresnel = look.gloss + (1 - look.gloss) * (1 - points.facing) ** 5 * np.where(look.gloss > 0, 0.6, 0.04)
    colour = look.albedo * irradiance * (1 - fresnel[:, None]) + look.emission
    shiny = np.flatnonzero(look.gloss > 0.015)
    if len(shiny):
        view, normal = points.view[shiny], points.normal[shiny]
        mirrored = view - 2 * np.einsum('nc,nc->n', view, normal)[:, None] * normal
        surroundings = np.where(mirrored[:, 2:3] > 0.08, sky_light(mirrored, climate), ambient_ground * 0.8)
        colour[shiny] += fresnel[shiny, None] * surroundings
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    everything = sky_light(unit, climate)
    everything[points.pixel] = colour
    distance = np.full(len(directions), 2000.0, np.float32)
    distance[points.pixel] = points.distance
    thickness = np.float32(climate.haze) * distance
    if climate.puffs:
        thickness = thickness + smoke_thickness(origin, unit, distance, climate.puffs, seconds)
    transmission = np.exp(-thickness)
    scattered = 0.6 * ambient_sky + 0.25 * np.array(climate.sun, np.float32)
    light = everything * transmission[:, None] + scattered * (1 - transmission[:, None])
    # Lamps light the air around them only, not all of it to the sky.
    near = np.minimum(thickness, np.float32(climate.haze * 25) + thickness - np.float32(climate.haze) * distance)
    light += (1 - np.exp(-near))[:, None] * _lamp_haze(spots, origin)
    return VisibleImage(light.reshape(*shape, 3).astype(np.float32), transmission.reshape(shape))


def _ambient(climate: Climate) -> tuple[Float32s, Float32s]:
    """Irradiance / pi from above and from below."""
    above = (0.75 * np.array(climate.zenith) + 0.35 * np.array(climate.horizon)).astype(np.float32)
    if not climate.indoors:
        above = above + np.float32(0.0)
    below = (0.25 * above + 0.06 * np.array(climate.sun)).astype(np.float32)
    return above, below if not climate.indoors else above * np.float32(0.7)


def _lamp_haze(spots: list[Spot], origin: Float32s) -> Float32s:
    """Light that lamps near the camera throw on the air in front of it."""
    total = np.zeros(3, np.float32)
    for spot in spots:
        square = float(np.sum((spot.position - origin) ** 2))
        total += spot.colour * np.float32(0.12 / (square + 12.0))
    return total


@dataclass
class Exposure:
    """Automatic exposure that follows the scene slowly; a gain of 1 shows white paper in full sun as white."""

    target: float = 0.17
    longest: float = 60.0
    strongest: float = 700.0
    smoothing: float = 0.7
    gain: float | None = None

    def follow(self, light: Float32s) -> float:
        """The gain for this frame."""
        luminance = np.minimum(light[::4, ::4].mean(-1), np.percentile(light[::4, ::4].mean(-1), 98))
        wanted = self.target / max(float(luminance.mean()), 1e-7)
        wanted = float(np.clip(wanted, 0.3, self.strongest))
        self.gain = wanted if self.gain is None else self.gain**self.smoothing * wanted ** (1 - self.smoothing)
        return self.gain

    @property
    def shutter(self) -> float:
        """Exposure time in seconds: longer in the dark, up to a sixtieth; beyond that, gain makes up."""
        return min(1 / 60, (self.gain or 1.0) / self.longest / 60)


def photograph(
    light: Float32s, motion: Float32s, exposure: Exposure, random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Lens, sensor and camera: glare, motion blur along ``motion`` (H, W, 2 pixels per second), noise, gamma; RGB (H, W, 3)."""
    gain = exposure.follow(light)
    image = _glare(np.minimum(light * np.float32(gain), 60.0))
    image = cv2.GaussianBlur(image, (0, 0), 0.45)
    image = _motion_blur(image, motion * np.float32(exposure.shutter))
    analogue = max(1.0, gain / exposure.longest)
    noise = random.standard_normal(image.shape, np.float32)
    image += noise * np.sqrt(
        np.maximum(image, 0) * np.float32(1.2e-4 * analogue) + np.float32((0.0012 * analogue**0.75) ** 2)
    )
    image = np.clip(image / (1 + 0.15 * np.maximum(image - 0.7, 0)), 0, 1)
    encoded = np.where(image <= 0.0031308, 12.92 * image, 1.055 * np.power(np.maximum(image, 1e-6), 1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).astype(np.uint8)


def _glare(image: Float32s) -> Float32s:
    """Light of very bright spots spreads in the lens."""
    excess = np.maximum(image - 1.2, 0)
    if float(excess.max()) <= 0:
        return image
    height, width = image.shape[:2]
    small = cv2.resize(excess, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    glow = 0.10 * cv2.GaussianBlur(small, (0, 0), width / 160) + 0.05 * cv2.GaussianBlur(small, (0, 0), width / 40)
    return image + np.asarray(cv2.resize(glow, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _motion_blur(image: Float32s, motion: Float32s) -> Float32s:
    """Average along each pixel's way on the sensor."""
    length = float(np.percentile(np.abs(motion), 99))
    if length < 0.5:
        return image
    steps = min(9, 3 + 2 * int(length / 2))
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    total = np.zeros_like(image)
    for part in np.linspace(-0.5, 0.5, steps, dtype=np.float32):
        total += cv2.remap(
            image,
            x + part * motion[..., 0],
            y + part * motion[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return total / np.float32(steps)
