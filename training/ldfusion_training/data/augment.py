"""Augmentation of aligned images: one view for all of them, then noise and light for each by itself.

All functions are pure: they draw from the generator they are given and leave their inputs alone.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics, rays
from ldfusion_models.errors import InputError
from ldfusion_training.data.depth import Depth
from ldfusion_training.data.pairs import Image8

Pixels = TypeVar('Pixels', np.uint8, np.uint16, np.float32)


@dataclass(frozen=True)
class View:
    """A window of the source image, resized and perhaps mirrored; the same for image, depth and camera.

    Attributes:
        left, top, width, height: window in pixels of the source.
        output_width, output_height: size it is resized to.
        mirrored: left and right exchanged.
    """

    left: int
    top: int
    width: int
    height: int
    output_width: int
    output_height: int
    mirrored: bool

    def of_image(self, image: npt.NDArray[np.uint8]) -> Image8:
        """This view of an image (H, W) or (H, W, C)."""
        shrinks = self.output_width < self.width
        return self._cut(image, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)

    def of_depth(self, depth: Depth) -> Depth:
        """This view of depth (H, W): nearest pixels, for a mean across an edge is a point in the air."""
        return self._cut(depth, cv2.INTER_NEAREST_EXACT)

    def of_instances(self, instances: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """This view of instance numbers (H, W)."""
        return self._cut(instances, cv2.INTER_NEAREST_EXACT)

    def of_camera(self, camera: Intrinsics) -> Intrinsics:
        """The camera that would have taken this view: its focal length follows the scale."""
        window = Intrinsics(
            self.width, self.height, camera.fx, camera.fy, camera.cx - self.left, camera.cy - self.top
        ).scaled(self.output_width, self.output_height)
        if not self.mirrored:
            return window
        return Intrinsics(window.width, window.height, window.fx, window.fy, window.width - 1 - window.cx, window.cy)

    def _cut(self, image: npt.NDArray[Pixels], interpolation: int) -> npt.NDArray[Pixels]:
        window: npt.NDArray[Any] = image[self.top : self.top + self.height, self.left : self.left + self.width]
        size = (self.output_width, self.output_height)
        if size != (self.width, self.height):
            window = cv2.resize(window, size, interpolation=interpolation)
        return np.ascontiguousarray(window[:, ::-1] if self.mirrored else window)


def random_view(
    generator: np.random.Generator,
    source: tuple[int, int],
    output: tuple[int, int],
    zoom: tuple[float, float] = (1.0, 1.0),
) -> View:
    """A random window of an image, mirrored every other time.

    Args:
        generator: source of randomness.
        source, output: (width, height) of the image and of the view.
        zoom: range of output pixels per source pixel, drawn evenly in its logarithm. Where the window would
            not fit into the image, the largest that does is taken instead.

    Raises:
        InputError: sizes or zoom not positive.
    """
    if min(*source, *output) < 1 or not 0 < zoom[0] <= zoom[1]:
        raise InputError(f'view of {output} from {source} with zoom {zoom}: sizes and zoom must be positive')
    drawn = float(np.exp(generator.uniform(np.log(zoom[0]), np.log(zoom[1]))))
    scale = max(drawn, output[0] / source[0], output[1] / source[1])
    width = min(source[0], round(output[0] / scale))
    height = min(source[1], round(output[1] / scale))
    left = int(generator.integers(source[0] - width + 1))
    top = int(generator.integers(source[1] - height + 1))
    return View(left, top, max(width, 1), max(height, 1), *output, bool(generator.random() < 0.5))


@dataclass(frozen=True)
class LightConfig:
    """How far light and noise may change, each drawn evenly.

    Attributes:
        brightness: offset, as part of the full range, up or down.
        contrast: factor about the mean, from 1 - contrast to 1 + contrast.
        gamma: exponent, from 1 / (1 + gamma) to 1 + gamma.
        saturation: factor of the difference to grey (colour images), from 1 - saturation to 1 + saturation.
        noise: largest standard deviation of Gaussian noise, as part of the full range.
        tint: factor of each colour by itself, from 1 - tint to 1 + tint (colour images).
        blur: largest standard deviation of a Gaussian blur in pixels; half of the images stay sharp.
    """

    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.3
    saturation: float = 0.2
    noise: float = 0.02
    tint: float = 0.0
    blur: float = 0.0


def change_light(generator: np.random.Generator, image: Image8, config: LightConfig | None = None) -> Image8:
    """Another exposure of an image (H, W) or (H, W, 3): gamma, contrast, brightness, saturation, tint, blur, noise."""
    limits = config or LightConfig()
    values = image.astype(np.float32) / np.float32(255.0)
    exponent = (1 + limits.gamma) ** generator.uniform(-1, 1)
    values = values ** np.float32(exponent)
    mean = values.mean()
    factor = 1 + generator.uniform(-limits.contrast, limits.contrast)
    offset = generator.uniform(-limits.brightness, limits.brightness)
    values = (values - mean) * np.float32(factor) + np.float32(mean + offset)
    colourfulness = np.float32(1 + generator.uniform(-limits.saturation, limits.saturation))
    if values.ndim == 3:
        grey = values.mean(axis=2, keepdims=True)
        values = grey + (values - grey) * colourfulness
        if limits.tint:
            values *= 1 + generator.uniform(-limits.tint, limits.tint, 3).astype(np.float32)
    if limits.blur and (spread := generator.uniform(-limits.blur, limits.blur)) > 0.1:
        values = cv2.GaussianBlur(values, (0, 0), spread)
    deviation = np.float32(generator.uniform(0, limits.noise))
    values = values + deviation * generator.standard_normal(values.shape, np.float32)
    changed: Image8 = np.clip(values * np.float32(255.0) + np.float32(0.5), 0, 255).astype(np.uint8)
    return changed


def low_frequencies(image: Image8, reach: int) -> npt.NDArray[np.float32]:
    """Amplitudes (2 reach + 1, reach + 1, 3) of the lowest spatial frequencies of an image (H, W, 3), per pixel."""
    amplitudes = np.abs(np.fft.rfft2(image.astype(np.float32), axes=(0, 1))[_lowest_rows(reach), : reach + 1])
    return np.asarray(amplitudes / (image.shape[0] * image.shape[1]), np.float32)


def exchange_look(image: Image8, amplitudes: npt.NDArray[np.float32], part: float) -> Image8:
    """An image (H, W, 3) with the light and colours of another (Yang and Soatto 2020, "FDA"); things stay in place.

    Args:
        image: what is changed.
        amplitudes: of the other image, as ``low_frequencies`` gives them.
        part: how far, from 0 to 1.
    """
    height, width = image.shape[:2]
    reach = amplitudes.shape[1] - 1
    waves = np.fft.rfft2(image.astype(np.float32), axes=(0, 1))
    lowest = waves[_lowest_rows(reach), : reach + 1]
    own = np.abs(lowest)
    wanted = (1 - part) * own + part * amplitudes * (height * width)
    waves[_lowest_rows(reach), : reach + 1] = lowest * (wanted / np.maximum(own, 1e-6))
    changed: Image8 = np.clip(np.fft.irfft2(waves, (height, width), axes=(0, 1)) + 0.5, 0, 255).astype(np.uint8)
    return changed


def _lowest_rows(reach: int) -> npt.NDArray[np.int64]:
    """Where a transform keeps frequencies from 0 to ``reach``, and from ``-reach`` to -1, of rows."""
    return np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])


@dataclass(frozen=True)
class Turn:
    """A camera turned about its optical centre: pixels move by a homography, whatever the depth.

    Attributes:
        rotation: (3, 3), directions in the camera as it was to the turned one.
        camera: intrinsics of both.
    """

    rotation: npt.NDArray[np.float64]
    camera: Intrinsics

    @classmethod
    def random(cls, generator: np.random.Generator, camera: Intrinsics, degrees: float) -> 'Turn':
        """Pitch and roll drawn evenly up to ``degrees`` either way."""
        pitch, roll = np.radians(generator.uniform(-degrees, degrees, 2))
        about_x, _ = cv2.Rodrigues(np.array([pitch, 0.0, 0.0]))
        about_z, _ = cv2.Rodrigues(np.array([0.0, 0.0, roll]))
        return cls(np.asarray(about_z @ about_x), camera)

    def of_image(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """What the turned camera sees of an image (H, W) or (H, W, C); the border is mirrored."""
        turned = self._warp(image, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101, 0)
        return np.asarray(turned, np.uint8).reshape(image.shape)

    def of_instances(self, instances: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """Instance numbers (H, W), 0 beyond the border."""
        return np.asarray(self._warp(instances, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, 0), np.uint16)

    def of_depth(self, depth: Depth) -> Depth:
        """Depth (H, W) along the turned axis, NaN beyond the border."""
        # A pixel at depth z lies at z * ray, whose part along the new axis is z times this.
        factor = rays(self.camera) @ self.rotation[2].astype(np.float32)
        turned = self._warp(depth * factor, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, np.nan)
        return np.asarray(turned, np.float32)

    def _warp(self, image: npt.NDArray[Any], interpolation: int, border: int, beyond: float) -> npt.NDArray[Any]:
        camera = self.camera
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        homography = matrix @ self.rotation @ np.linalg.inv(matrix)
        size = camera.width, camera.height
        return cv2.warpPerspective(
            image, homography, size, flags=interpolation, borderMode=border, borderValue=(beyond,) * 4
        )


def repaint(generator: np.random.Generator, image: Image8, instances: npt.NDArray[np.uint16]) -> Image8:
    """Other paint on each thing of a simulated image, so that colours don't tell what is near.

    Args:
        generator: source of randomness.
        image: (H, W, 3).
        instances: (H, W), 0 where nothing is; stays as it is.
    """
    count = int(instances.max()) + 1
    brightness = generator.uniform(-0.9, 0.3, (count, 1))
    paint = np.exp(brightness + generator.uniform(-0.3, 0.3, (count, 3))).astype(np.float32)
    paint[0] = 1.0
    repainted: Image8 = np.clip(image * paint[instances] + np.float32(0.5), 0, 255).astype(np.uint8)
    return repainted


@dataclass(frozen=True)
class MisalignmentConfig:
    """Largest error of a calibration: shift in pixels, rotation in degrees, scale as a part of 1."""

    shift: float = 2.0
    rotation: float = 0.3
    scale: float = 0.005


def misalign(generator: np.random.Generator, thermal: Image8, config: MisalignmentConfig | None = None) -> Image8:
    """The thermal image (H, W) as a robot with a slightly wrong calibration would place it; edges are repeated."""
    limits = config or MisalignmentConfig()
    height, width = thermal.shape
    angle = generator.uniform(-limits.rotation, limits.rotation)
    scale = 1 + generator.uniform(-limits.scale, limits.scale)
    matrix: npt.NDArray[Any] = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += generator.uniform(-limits.shift, limits.shift, 2)
    moved = cv2.warpAffine(thermal, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
