"""Which topics of a recording are the cameras', found by their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_training.recordings.bags import COMPRESSED_IMAGE, IMAGE

CAMERA_WORDS = {
    'visible': ('visible', 'rgb', 'color', 'colour'),
    'thermal': ('thermal', 'infrared', 'lwir', '/ir/', 'flir'),
}
# Depth images of a camera lie beside its own; what this package publishes is no input.
DEPTH_WORD, OWN_OUTPUTS = 'depth', '/fusion_node/'


@dataclass(frozen=True)
class Streams:
    """The two image topics of a recording."""

    visible: str
    thermal: str


def find_camera(topics: Mapping[str, str], camera: str, recording: Path) -> str:
    """The ``visible`` or the ``thermal`` image topic among topics with their types; raw where compressed is also there.

    Raises:
        InputError: there is not exactly one.
    """
    images = sorted(topic for topic, kind in topics.items() if kind in (IMAGE, COMPRESSED_IMAGE))
    named = [
        topic
        for topic in images
        if any(word in topic.lower() for word in CAMERA_WORDS[camera])
        and DEPTH_WORD not in base_and_transport(topic)[0].lower()
        and not topic.startswith(OWN_OUTPUTS)
    ]
    found = [topic for topic in named if base_and_transport(topic)[0] not in {*named} - {topic}]
    if len(found) != 1:
        raise InputError(
            f'{recording}: its image topics are {", ".join(images) or "none"}; '
            f'name the {camera} one with --{camera}-topic'
        )
    return found[0]


def camera_info_topic(image_topic: str) -> str:
    """The camera_info topic beside an image topic, by the usual naming."""
    return base_and_transport(image_topic)[0].rpartition('/')[0] + '/camera_info'


def base_and_transport(image_topic: str) -> tuple[str, str]:
    """The name that a node subscribes to, and the transport by which its images come there."""
    base, _, last = image_topic.rpartition('/')
    return (base, last) if last in ('compressed', 'compressedDepth') else (image_topic, 'raw')
