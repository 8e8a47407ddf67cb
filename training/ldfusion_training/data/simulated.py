"""Simulated drives: aligned visible, thermal and depth of each frame, with the motion of the camera."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.depth import (
    MILLIMETRES_PER_METRE,
    Depth,
    DepthSource,
    Modality,
    camera_from,
    read_depth,
    read_json,
)
from ldfusion_training.data.pairs import Pair, PairSource, as_thermal8

FORMAT = 'ldfusion-simulation'
VERSION = 1
# Two cameras at one place, with one lens and size: their images are aligned and share the depth.
ALIGNED_METRES = 1e-6


@dataclass(frozen=True)
class SimulatedFrame:
    """One frame of a simulated drive.

    Attributes:
        name: ``scene_00000/000000``.
        scene: the scene's folder.
        stamp_ns: time of the frame.
        kind, light, weather: of the scene, such as street, night, smoke.
        visible_camera, thermal_camera: intrinsics.
        thermal_T_visible: 4x4, points of the visible optical frame to the thermal one.
        world_T_visible: 4x4 pose of the visible optical frame.
    """

    name: str
    scene: Path
    stamp_ns: int
    kind: str
    light: str
    weather: str
    visible_camera: Intrinsics
    thermal_camera: Intrinsics
    thermal_T_visible: npt.NDArray[np.float64]  # noqa: N815 (frames' usual notation)
    world_T_visible: npt.NDArray[np.float64]  # noqa: N815

    @property
    def is_aligned(self) -> bool:
        """Whether both cameras see every point at the same pixel."""
        still = np.allclose(self.thermal_T_visible, np.eye(4), atol=ALIGNED_METRES)
        return bool(still) and self.visible_camera == self.thermal_camera

    def pair_source(self) -> PairSource:
        """The two images of this frame."""
        return PairSource(self.name, self._file('visible', '.png'), self._file('thermal', '.png'))

    def depth_source(self, modality: Modality) -> DepthSource:
        """The image of one camera with its depth."""
        own = modality == 'thermal' and not self.is_aligned
        return DepthSource(
            self.name,
            modality,
            self._file(modality, '.png'),
            self._file('depth_thermal' if own else 'depth', '.npy'),
            self.visible_camera if modality == 'visible' else self.thermal_camera,
            MILLIMETRES_PER_METRE,
        )

    def read_pair(self) -> Pair:
        """Both images; raises InputError if unreadable or, for a rig with two lenses, of two sizes."""
        return self.pair_source().read()

    def read_visible(self) -> npt.NDArray[np.uint8]:
        """The visible image (H, W, 3); raises InputError."""
        return as_rgb8(read_image(self._file('visible', '.png')))

    def read_thermal(self) -> npt.NDArray[np.uint8]:
        """The thermal image (H, W); raises InputError."""
        return as_thermal8(read_image(self._file('thermal', '.png')))

    def read_depth(self) -> Depth:
        """Depth (H, W) of the visible camera in metres, NaN = nothing there; raises InputError."""
        return read_depth(self._file('depth', '.npy'), MILLIMETRES_PER_METRE)

    def read_text(self) -> dict[str, Any]:
        """Description of the frame (text, objects, light, weather, kind); raises InputError."""
        return dict(read_json(self._file('text', '.json')))

    def read_instances(self) -> npt.NDArray[np.uint16]:
        """Instance number (H, W) of what each pixel of the visible camera shows, 0 = nothing; raises InputError."""
        return np.asarray(read_image(self._file('instance', '.png')), np.uint16)

    def read_classes(self) -> npt.NDArray[np.uint8]:
        """Class (H, W) of what each pixel of the visible camera shows, index into ``CLASSES``; raises InputError."""
        return np.asarray(read_image(self._file('class', '.png')), np.uint8)

    def _file(self, folder: str, suffix: str) -> Path:
        return self.scene / folder / (self.name.rsplit('/', 1)[1] + suffix)


def open_simulation(path: Path) -> list[SimulatedFrame]:
    """All frames of a simulated data set, scene by scene in order of time; unfinished scenes are left out.

    Raises:
        InputError: not such a data set, of another version, a damaged scene, or no finished scene.
    """
    header = path / 'dataset.yaml'
    try:
        described = yaml.safe_load(header.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f'{header}: cannot be read; a simulated data set has this file') from error
    if not isinstance(described, dict) or (described.get('format'), described.get('version')) != (FORMAT, VERSION):
        raise InputError(f'{header}: format {FORMAT}, version {VERSION} is needed; simulate the data set again')
    frames = [frame for file in sorted(path.glob('scene_*/scene.json')) for frame in _scene_frames(file)]
    if not frames:
        raise InputError(f'{path}: holds no finished scene')
    return frames


def _scene_frames(file: Path) -> list[SimulatedFrame]:
    scene = read_json(file)
    try:
        if any(scene['distortion']):
            raise InputError(
                f'{file}: distorted images, whose pixels no intrinsics explain; simulate without distortion'
            )
        cameras = {name: camera_from(values, file) for name, values in scene['cameras'].items()}
        return [
            SimulatedFrame(
                name=f'{file.parent.name}/{index:06d}',
                scene=file.parent,
                stamp_ns=int(frame['stamp_ns']),
                kind=str(scene['kind']),
                light=str(scene['light']),
                weather=str(scene['weather']),
                visible_camera=cameras['visible'],
                thermal_camera=cameras['thermal'],
                thermal_T_visible=_transform(scene['thermal_T_visible']),
                world_T_visible=_transform(frame['world_T_visible']),
            )
            for index, frame in enumerate(scene['frames'])
        ]
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f'{file}: damaged or of another version ({error!r})') from error


def _transform(values: Any) -> npt.NDArray[np.float64]:
    return np.array(values, np.float64).reshape(4, 4)
