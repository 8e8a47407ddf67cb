"""Light, weather and temperatures of a scene."""

from dataclasses import dataclass

import numpy as np

from ldfusion_training.simulation.scenery.things import Colour, times


@dataclass(frozen=True)
class Puff:
    """A puff of smoke, Gaussian in space: centre and spread in metres, drift in m/s, extinction in 1/m."""

    centre: tuple[float, float, float]
    drift: tuple[float, float, float]
    spread: float
    thickness: float


@dataclass(frozen=True)
class Climate:
    """What light falls and how warm it is; light is linear, 1 = white paper in full sun.

    Attributes:
        light, weather: names as in the settings.
        indoors: under a roof: no sky and no sun.
        air: temperature in kelvin.
        sun_direction: unit vector towards the sun; sun: its irradiance (RGB).
        zenith, horizon: radiance (RGB) of the sky.
        sky_kelvin: apparent temperature of the zenith; the horizon has the air's.
        clouds: cover, 0 to 1.
        storage: part of a surface's ``solar`` heat that it has kept.
        haze: extinction of visible light in 1/m, everywhere; infrared_haze: of the infrared.
        puffs: smoke.
        lamps_on: whether street lamps and vehicle lamps burn.
    """

    light: str
    weather: str
    indoors: bool
    air: float
    sun_direction: tuple[float, float, float]
    sun: Colour
    zenith: Colour
    horizon: Colour
    sky_kelvin: float
    clouds: float
    storage: float
    haze: float
    infrared_haze: float
    puffs: tuple[Puff, ...]
    lamps_on: bool


SMOKE_IN_INFRARED = 0.06
"""Smoke's infrared extinction as a part of its visible one: its grains are smaller than a long wave."""
FOG_IN_INFRARED = 0.35
"""The same for fog, whose drops are larger."""


def draw_climate(random: np.random.Generator, light: str, weather: str, indoors: bool) -> Climate:
    """Climate for the named light and weather."""
    overcast = weather in ('overcast', 'fog')
    clouds = random.uniform(0.85, 1.0) if overcast else random.uniform(0.0, 0.4)
    azimuth = random.uniform(0, 2 * np.pi)
    height = np.radians(random.uniform(20, 65) if light == 'day' else random.uniform(3, 9))
    towards_sun = (
        float(np.cos(height) * np.cos(azimuth)), float(np.cos(height) * np.sin(azimuth)), float(np.sin(height))
    )  # fmt: skip
    strength, sky = {'day': (1.0, 0.28), 'dusk': (0.035, 0.035), 'night': (0.0, 0.0009)}[light]
    strength *= 0.0 if overcast else 1.0
    tint = {'day': (0.35, 0.58, 1.0), 'dusk': (0.55, 0.6, 0.95), 'night': (0.8, 0.75, 0.8)}[light]
    glow = {'day': (0.9, 0.97, 1.0), 'dusk': (1.6, 0.95, 0.6), 'night': (1.9, 1.5, 1.1)}[light]
    if overcast:
        tint, glow, sky = (0.85, 0.9, 0.95), (1.0, 1.0, 1.0), sky * 1.3
    warm_sun = (1.0, 0.95, 0.86) if light == 'day' else (1.0, 0.55, 0.25)
    air = 273.15 + {'day': random.uniform(8, 30), 'dusk': random.uniform(4, 24), 'night': random.uniform(-4, 18)}[light]
    air = 273.15 + random.uniform(12, 22) if indoors else air
    haze = 10 ** random.uniform(-3.6, -2.8)
    if weather == 'fog':
        haze = 10 ** random.uniform(-1.8, -1.05)
    if indoors:
        strength, haze = 0.0, 1e-5
        base = {'day': 0.05, 'dusk': 0.008, 'night': 0.0004}[light]
        tint, glow, sky = (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), base
    return Climate(
        light=light,
        weather=weather,
        indoors=indoors,
        air=float(air),
        sun_direction=towards_sun,
        sun=times(warm_sun, strength),
        zenith=times(tint, sky),
        horizon=times(glow, sky * 1.5),
        sky_kelvin=float(air - random.uniform(35, 55) * (1 - 0.85 * clouds)),
        clouds=float(clouds),
        storage=0.0 if indoors else {'day': 0.35, 'dusk': 0.4, 'night': 0.22}[light] * (0.5 if overcast else 1.0),
        haze=float(haze),
        infrared_haze=float(haze * FOG_IN_INFRARED if weather == 'fog' else 0.0008 + 0.2 * haze),
        puffs=_puffs(random, indoors) if weather == 'smoke' else (),
        lamps_on=light != 'day' or weather == 'fog' or indoors,
    )


def _puffs(random: np.random.Generator, indoors: bool) -> tuple[Puff, ...]:
    """A drifting bank of smoke ahead of the rig."""
    near, far, side = (3.0, 22.0, 1.2) if indoors else (6.0, 30.0, 6.0)
    thickness = random.uniform(-1.5, 0.0)
    wind = random.uniform(-0.5, 0.5, 2).tolist()
    return tuple(
        Puff(
            (random.uniform(near, far), random.uniform(-side, side), random.uniform(0.3, 2.6)),
            (wind[0] + random.normal(0, 0.1), wind[1] + random.normal(0, 0.1), random.uniform(0.0, 0.15)),
            random.uniform(1.2, 3.5) * (0.6 if indoors else 1.0),
            10 ** (thickness + random.normal(0, 0.2)),
        )
        for _ in range(int(random.integers(5, 10)))
    )
