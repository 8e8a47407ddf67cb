"""Which topics of a recording are evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_training.bag_evaluation.settings import Topics
from ldfusion_training.recordings.bags import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, POINTS, RANGE, SCAN, TRANSFORMS
from ldfusion_training.recordings.image_topics import DEPTH_WORD, OWN_OUTPUTS, camera_info_topic, find_camera

NONE = 'none'
STATIC_TRANSFORMS = '/tf_static'


@dataclass(frozen=True)
class ChosenTopics:
    """The topics that are read; empty where there is none."""

    visible: str
    thermal: str
    visible_info: str = ''
    thermal_info: str = ''
    depth: str = ''
    points: str = ''
    ranges: str = ''
    transforms: str = ''

    def names(self) -> list[str]:
        """All that are to be read."""
        return [name for name in vars(self).values() if name]


def choose_topics(asked: Topics, topics: Mapping[str, str], recording: Path) -> tuple[ChosenTopics, list[str]]:
    """The topics to read, and notes on those that could not be told apart.

    Args:
        asked: by the user.
        topics: of the recording, with their types.
        recording: named in errors.

    Raises:
        InputError: an image topic is not there, is of another type, or can't be told from others.
    """
    images = {}
    for camera in ('visible', 'thermal'):
        name = getattr(asked, camera)
        images[camera] = (
            _require(name, topics, (IMAGE, COMPRESSED_IMAGE), recording)
            if name
            else find_camera(topics, camera, recording)
        )
    infos = {
        f'{camera}_info': _if_there(camera_info_topic(name), CAMERA_INFO, topics) for camera, name in images.items()
    }
    depth, depth_note = _choose_one('depth', asked.depth, topics, (IMAGE,), recording)
    points, points_note = _choose_one('points', asked.points, topics, (POINTS,), recording)
    ranges = _require(asked.ranges, topics, (POINTS, SCAN, RANGE), recording) if asked.ranges else ''
    if ranges and ranges == asked.points:
        raise InputError(f'{ranges}: what corrects depth cannot judge it; name another --points-topic or --depth-topic')
    chosen = ChosenTopics(
        **images,
        **infos,
        depth=depth,
        # A depth image needs no extrinsics; a cloud beside it would say the same again.
        points='' if points == ranges or (depth and not asked.points) else points,
        ranges=ranges,
        transforms=_if_there(STATIC_TRANSFORMS, TRANSFORMS, topics),
    )
    return chosen, [note for note in (depth_note, points_note) if note]


def _require(name: str, topics: Mapping[str, str], kinds: tuple[str, ...], recording: Path) -> str:
    if name not in topics:
        raise InputError(f'{recording}: no topic {name}; it has {", ".join(sorted(topics)) or "none"}')
    if topics[name] not in kinds:
        raise InputError(f'{recording}: {name} holds {topics[name]}, not {" or ".join(kinds)}')
    return name


def _if_there(name: str, kind: str, topics: Mapping[str, str]) -> str:
    return name if topics.get(name) == kind else ''


def _choose_one(
    what: str, asked: str, topics: Mapping[str, str], kinds: tuple[str, ...], recording: Path
) -> tuple[str, str]:
    if asked == NONE:
        return '', ''
    if asked:
        return _require(asked, topics, kinds, recording), ''
    found = sorted(
        topic
        for topic, kind in topics.items()
        if kind in kinds and not topic.startswith(OWN_OUTPUTS) and (what != 'depth' or DEPTH_WORD in topic.lower())
    )
    if len(found) > 1:
        return '', f'{what} is left out: name one of {", ".join(found)} with --{what}-topic'
    return (found[0] if found else ''), ''
