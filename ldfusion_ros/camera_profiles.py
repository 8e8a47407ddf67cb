"""What is known of cameras that robots carry: ``config/cameras/NAME.yaml``, for ``camera:=NAME`` at launch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_yaml
from ldfusion_models.mappings import from_mapping
from ldfusion_models.paths import named_path
from ldfusion_models.rig.settings import meanings, refusal
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters

CAMERAS = ('visible', 'thermal')


@dataclass(frozen=True)
class CameraProfile:
    """What one camera sends.

    Attributes:
        camera: ``visible`` or ``thermal``.
        topics: names that its driver usually gives to ``image`` and ``camera_info``.
        encoding: of the messages.
        size: width and height of the messages, rows that are no picture included.
        rate: images per second.
        pause: seconds in which a shutter holds the image, now and then.
        field_of_view: of the usual lens, horizontal, in degrees.
        parameters: of the nodes, for this camera.
    """

    camera: Literal['visible', 'thermal']
    topics: Mapping[str, str]
    encoding: str
    size: Sequence[int]
    rate: float
    pause: float
    field_of_view: float
    parameters: Mapping[str, Any]

    def parameters_of_guidance(self) -> dict[str, Any]:
        """Those that ``guidance_node`` has as well."""
        return {name: value for name, value in self.parameters.items() if name in meanings(GuidanceParameters)}


def read_profiles(names: str, folder: Path) -> list[CameraProfile]:
    """The profiles of cameras that are named with commas between: those of ``folder``, or files.

    Raises:
        InputError: an unknown name, two of the same camera, or a file that is no profile.
    """
    profiles = [_read(name.strip(), folder) for name in names.split(',') if name.strip()]
    for kind in CAMERAS:
        if (count := sum(profile.camera == kind for profile in profiles)) > 1:
            raise InputError(f'camera {names!r}: {count} of them are {kind}; name one')
    return profiles


def with_topics(values: Mapping[str, str], profiles: Sequence[CameraProfile]) -> dict[str, str]:
    """Arguments of the launch file with the topics that they leave empty: the profiles', or the nodes' own names."""
    complete = dict(values)
    for camera in CAMERAS:
        topics = next((profile.topics for profile in profiles if profile.camera == camera), {})
        for argument, name, own in (('topic', 'image', 'image_raw'), ('info_topic', 'camera_info', 'camera_info')):
            complete[f'{camera}_{argument}'] = values[f'{camera}_{argument}'] or topics.get(name, f'{camera}/{own}')
    return complete


def known_profiles(folder: Path) -> list[str]:
    """Names of the profiles in a folder."""
    return sorted(path.stem for path in folder.glob('*.yaml'))


def _read(name: str, folder: Path) -> CameraProfile:
    path = named_path(name) if name.endswith('.yaml') else folder / f'{name}.yaml'
    if not path.is_file():
        raise InputError(f'camera {name!r} is unknown; known are {", ".join(known_profiles(folder))}, or name a file')
    profile = from_mapping(CameraProfile, read_yaml(path), str(path))
    for parameter, value in profile.parameters.items():
        if problem := refusal(FusionParameters, parameter, value):
            raise InputError(f'{path}: {problem}')
    return profile
