"""Fused images and depth as a recording and as a video."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.files import written_whole
from ldfusion_training.bag_evaluation.gallery import DEPTH_SCALE
from ldfusion_training.bag_evaluation.pairs import FusedShot
from ldfusion_training.recordings.bags import SECOND, BagWriter
from ldfusion_training.recordings.image_topics import OWN_OUTPUTS
from ldfusion_training.report.pictures import colour_depth, fit_into

VIDEO_CODEC = 'mp4v'
# The pace of a recording with a single pair.
DEFAULT_RATE = 10.0
WriteFrame = Callable[[FusedShot], None]


@contextmanager
def open_output_bag(path: Path) -> Iterator[WriteFrame]:
    """A recording of what the node would have published, whole or not at all; yields what writes a frame to it."""
    with BagWriter(path) as writer:

        def write(shot: FusedShot) -> None:
            frame, stamp_ns, frame_id = shot.frame, shot.recorded.stamp_ns, shot.recorded.frame_id
            camera = frame.calibration or frame.camera
            for name, image in (('fused', frame.fused), ('depth', frame.depth)):
                topic = f'{OWN_OUTPUTS}{name}'
                if camera is not None:
                    writer.write_camera_info(f'{topic}/camera_info', stamp_ns, frame_id, camera)
                writer.write_image(f'{topic}/image', stamp_ns, frame_id, image)

        yield write


@contextmanager
def open_video(path: Path) -> Iterator[WriteFrame]:
    """An MP4 with both images above, fused image and depth below; yields what writes a frame to it.

    The first two frames tell the pace.
    """
    waiting: list[FusedShot] = []
    video, width, height = cv2.VideoWriter(), 0, 0
    with written_whole(path) as unfinished:

        def begin(rate: float) -> None:
            nonlocal width, height
            height, width = waiting[0].frame.visible.shape[:2]
            code = cv2.VideoWriter.fourcc(*VIDEO_CODEC)
            if not video.open(str(unfinished), code, rate, (2 * width, 2 * height)):
                raise InputError(f'{path}: this OpenCV writes no MP4; leave --mp4 out')
            video.write(_mosaic(waiting.pop(), width, height))

        def write(shot: FusedShot) -> None:
            if not video.isOpened():
                waiting.append(shot)
                if len(waiting) < 2:
                    return
                seconds = (waiting.pop().recorded.stamp_ns - waiting[0].recorded.stamp_ns) / SECOND
                begin(1 / seconds if seconds > 0 else DEFAULT_RATE)
            video.write(_mosaic(shot, width, height))

        yield write
        if waiting:
            begin(DEFAULT_RATE)
        video.release()


def _mosaic(shot: FusedShot, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The four pictures, each so wide and high, blue first."""
    frame = shot.frame
    pictures = (frame.visible, frame.thermal, frame.fused, colour_depth(frame.depth, DEPTH_SCALE))
    visible, thermal, fused, depth = (fit_into(picture, width, height) for picture in pictures)
    mosaic = np.vstack([np.hstack([visible, thermal]), np.hstack([fused, depth])])
    return np.asarray(cv2.cvtColor(mosaic, cv2.COLOR_RGB2BGR), np.uint8)
