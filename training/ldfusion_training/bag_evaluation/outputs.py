"""Fused images and depth as a recording and as a video."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_training.bag_evaluation.fusing import FusedFrame
from ldfusion_training.bag_evaluation.gallery import DEPTH_SCALE
from ldfusion_training.recordings.bags import SECOND, BagWriter
from ldfusion_training.recordings.image_topics import OWN_OUTPUTS
from ldfusion_training.report.pictures import colour_depth, fitted

VIDEO_CODEC = 'mp4v'
# The pace of a recording with a single pair.
DEFAULT_RATE = 10.0


class OutputBag:
    """A recording of what the node would have published; a context manager, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._writer = BagWriter(path)

    def __enter__(self) -> 'OutputBag':
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def write(self, frame: FusedFrame) -> None:
        """Write fused image, depth image and their camera_info."""
        assert frame.fused is not None and frame.depth is not None
        for name, image in (('fused', frame.fused), ('depth', frame.depth)):
            if frame.camera is not None:
                self._writer.write_camera_info(
                    f'{OWN_OUTPUTS}{name}/camera_info', frame.stamp_ns, frame.frame_id, frame.camera
                )
            self._writer.write_image(f'{OWN_OUTPUTS}{name}/image', frame.stamp_ns, frame.frame_id, image)


class Video:
    """An MP4 with visible and thermal image above, fused image and depth below; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._first: FusedFrame | None = None
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> 'Video':
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix='.', suffix='.mp4')
        os.close(handle)
        self._temporary = Path(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._first is not None and self._writer is None:
            self._start(DEFAULT_RATE)
        if self._writer is not None:
            self._writer.release()
        if kind is None and self._writer is not None:
            self._temporary.chmod(0o644)
            self._temporary.replace(self._path)
        self._temporary.unlink(missing_ok=True)

    def write(self, frame: FusedFrame) -> None:
        """Add a frame; the first two tell the pace."""
        if self._first is None:
            self._first = frame
            return
        if self._writer is None:
            seconds = (frame.stamp_ns - self._first.stamp_ns) / SECOND
            self._start(1 / seconds if seconds > 0 else DEFAULT_RATE)
        self._add(frame)

    def _start(self, rate: float) -> None:
        assert self._first is not None
        height, width = self._first.visible.shape[:2]
        self._size = width, height
        code = cv2.VideoWriter.fourcc(*VIDEO_CODEC)
        self._writer = cv2.VideoWriter(str(self._temporary), code, rate, (2 * width, 2 * height))
        if not self._writer.isOpened():
            raise InputError(f'{self._path}: this OpenCV writes no MP4; leave --mp4 out')
        self._add(self._first)

    def _add(self, frame: FusedFrame) -> None:
        assert frame.fused is not None and frame.depth is not None and self._writer is not None
        pictures = (frame.visible, frame.thermal, frame.fused, colour_depth(frame.depth, DEPTH_SCALE))
        visible, thermal, fused, depth = (fitted(picture, *self._size) for picture in pictures)
        mosaic: npt.NDArray[np.uint8] = np.vstack([np.hstack([visible, thermal]), np.hstack([fused, depth])])
        self._writer.write(cv2.cvtColor(mosaic, cv2.COLOR_RGB2BGR))
