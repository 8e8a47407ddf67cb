"""Fused images and depth as a recording and as a video."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.files import written_whole
from ldfusion_training.bag_evaluation.fusing import FusedFrame
from ldfusion_training.bag_evaluation.gallery import DEPTH_SCALE
from ldfusion_training.recordings.bags import SECOND, BagWriter
from ldfusion_training.recordings.image_topics import OWN_OUTPUTS
from ldfusion_training.report.pictures import colour_depth, fit_into

VIDEO_CODEC = 'mp4v'
# The pace of a recording with a single pair.
DEFAULT_RATE = 10.0
WriteFrame = Callable[[FusedFrame], None]


@contextmanager
def open_output_bag(path: Path) -> Iterator[WriteFrame]:
    """A recording of what the node would have published, whole or not at all; yields what writes a frame to it."""
    with BagWriter(path) as writer:

        def write(frame: FusedFrame) -> None:
            assert frame.fused is not None and frame.depth is not None
            for name, image in (('fused', frame.fused), ('depth', frame.depth)):
                topic, stamp_ns, frame_id = f'{OWN_OUTPUTS}{name}', frame.stamp_ns, frame.frame_id
                if frame.camera is not None:
                    writer.write_camera_info(f'{topic}/camera_info', stamp_ns, frame_id, frame.camera)
                writer.write_image(f'{topic}/image', stamp_ns, frame_id, image)

        yield write


@contextmanager
def open_video(path: Path) -> Iterator[WriteFrame]:
    """An MP4 with both images above, fused image and depth below; yields what writes a frame to it.

    The first two frames tell the pace.
    """
    waiting: list[FusedFrame] = []
    video, width, height = cv2.VideoWriter(), 0, 0
    with written_whole(path) as unfinished:

        def begin(rate: float) -> None:
            nonlocal width, height
            height, width = waiting[0].visible.shape[:2]
            code = cv2.VideoWriter.fourcc(*VIDEO_CODEC)
            if not video.open(str(unfinished), code, rate, (2 * width, 2 * height)):
                raise InputError(f'{path}: this OpenCV writes no MP4; leave --mp4 out')
            video.write(_mosaic(waiting.pop(), width, height))

        def write(frame: FusedFrame) -> None:
            if not video.isOpened():
                waiting.append(frame)
                if len(waiting) < 2:
                    return
                seconds = (waiting.pop().stamp_ns - waiting[0].stamp_ns) / SECOND
                begin(1 / seconds if seconds > 0 else DEFAULT_RATE)
            video.write(_mosaic(frame, width, height))

        yield write
        if waiting:
            begin(DEFAULT_RATE)
        video.release()


def _mosaic(frame: FusedFrame, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The four pictures, each so wide and high, blue first."""
    assert frame.fused is not None and frame.depth is not None
    pictures = (frame.visible, frame.thermal, frame.fused, colour_depth(frame.depth, DEPTH_SCALE))
    visible, thermal, fused, depth = (fit_into(picture, width, height) for picture in pictures)
    mosaic = np.vstack([np.hstack([visible, thermal]), np.hstack([fused, depth])])
    return np.asarray(cv2.cvtColor(mosaic, cv2.COLOR_RGB2BGR), np.uint8)
