"""rosbag2 recordings without ROS: MCAP or sqlite3 in, MCAP out, in the form that Humble to Lyrical read."""

import struct
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from ldfusion_models.camera.camera_info import Calibration, intrinsics_from_message
from ldfusion_models.camera.encodings import decode_compressed, decode_raw
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.camera.ranges import structured_points
from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import folder_written_whole
from ldfusion_training.recordings import salvage
from ldfusion_training.recordings.salvage import Salvage

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
POINTS = 'sensor_msgs/msg/PointCloud2'
SCAN = 'sensor_msgs/msg/LaserScan'
RANGE = 'sensor_msgs/msg/Range'
TRANSFORMS = 'tf2_msgs/msg/TFMessage'

# The last metadata version that Humble reads; the messages used here are the same from Humble to Lyrical.
METADATA_VERSION: Final = 8
TYPES = get_typestore(Stores.ROS2_HUMBLE)
DAMAGES = (*salvage.DAMAGES, AnyReaderError)
FOREVER = QosTime(0, 0)
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Transform:
    """Where frame ``child`` is: points (x, y, z, 1) of ``child`` times ``matrix`` (4, 4) are points of ``parent``."""

    parent: str
    child: str
    matrix: npt.NDArray[np.float64]


class BagWriter:
    """Writes one recording; use it as a context manager.

    The recording appears when the block succeeds, and not at all if it fails.

    Raises:
        InputError: ``path`` exists already or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> 'BagWriter':
        with ExitStack() as stack:
            folder = stack.enter_context(folder_written_whole(self._path))
            folder.rmdir()  # The writer makes it.
            self._writer = stack.enter_context(
                Writer(folder, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write_image(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        image: npt.NDArray[Any],
        encoding: str | None = None,
        log_ns: int | None = None,
    ) -> None:
        """Write an Image.

        Args:
            image: (H, W, 3) RGB uint8, or (H, W) uint8, uint16 or float32.
            encoding: its name; None for rgb8, mono8, mono16 or 32FC1 by shape and type.
            log_ns: when it was recorded; None for its stamp.

        Raises:
            InputError: another shape or type.
        """
        message = TYPES.types[IMAGE](
            header=_header(stamp_ns, frame_id),
            height=image.shape[0],
            width=image.shape[1],
            encoding=encoding or encoding_of(image),
            is_bigendian=0,
            step=image.itemsize * image[0].size,
            data=np.ascontiguousarray(image).reshape(-1).view(np.uint8),
        )
        self.write(topic, message, stamp_ns if log_ns is None else log_ns)

    def write_camera_info(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        camera: Intrinsics | Calibration,
    ) -> None:
        """Write the CameraInfo of a camera, with the distortion of its lens if that is told."""
        known = camera if isinstance(camera, Calibration) else Calibration(camera, model='plumb_bob')
        camera = known.camera
        k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
        region = TYPES.types['sensor_msgs/msg/RegionOfInterest'](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        message = TYPES.types[CAMERA_INFO](
            header=_header(stamp_ns, frame_id),
            height=camera.height,
            width=camera.width,
            distortion_model=known.model,
            d=np.array(known.coefficients or (0.0,) * 5, np.float64),
            k=np.array(k),
            r=np.eye(3).reshape(-1),
            p=np.array([*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]),
            binning_x=0,
            binning_y=0,
            roi=region,
        )
        self.write(topic, message, stamp_ns)

    def write_transforms(self, stamp_ns: int, transforms: Collection[Transform], static: bool = False) -> None:
        """Write to ``/tf``, or to the latched ``/tf_static``."""
        message = TYPES.types[TRANSFORMS](transforms=[_transform_message(stamp_ns, each) for each in transforms])
        topic, qos = ('/tf_static', _qos(latched=True)) if static else ('/tf', _qos())
        self.write(topic, message, stamp_ns, qos)

    def write(self, topic: str, message: Any, log_ns: int, qos: Qos | None = None) -> None:
        """Write any message that is made from ``TYPES``."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, message.__msgtype__, typestore=TYPES, offered_qos_profiles=[qos or _qos()]
            )
        self._writer.write(self._connections[topic], log_ns, TYPES.serialize_cdr(message, message.__msgtype__))


@dataclass(frozen=True)
class Record:
    """One message of a recording.

    Attributes:
        stamp_ns: the header's stamp; ``log_ns`` where the message has no header.
        log_ns: when it was recorded.
        message: fields as in the message definition.
    """

    topic: str
    type: str
    stamp_ns: int
    log_ns: int
    message: Any

    def image(self, encoding: str = '') -> npt.NDArray[Any]:
        """Pixels of an Image or CompressedImage, as ``decode_raw`` gives them.

        Args:
            encoding: of an Image, in place of its own, if it is not empty.

        Raises:
            InputError: another message, an unknown encoding, or damaged data.
        """
        if self.type == IMAGE:
            raw = self.message
            encoding = encoding or raw.encoding
            return decode_raw(encoding, raw.height, raw.width, raw.step, raw.data, bool(raw.is_bigendian))
        if self.type == COMPRESSED_IMAGE:
            return decode_compressed(self.message.data, self.message.format)
        raise InputError(f'{self.topic}: {self.type} holds no image')

    def depth(self) -> npt.NDArray[np.float32]:
        """Depth (H, W) of an Image by REP 118, of floats in metres or whole millimetres, in metres; NaN is unknown.

        Raises:
            InputError: as ``image``, or pixels that are no depth.
        """
        stored = self.image()
        if stored.ndim != 2 or stored.dtype not in (np.float32, np.uint16):
            raise InputError(f'{self.topic}: {stored.dtype} of shape {stored.shape} is no depth; 32FC1 or 16UC1 is')
        if stored.dtype == np.float32:
            return np.asarray(stored, np.float32)
        return np.asarray(np.where(stored > 0, stored / np.float32(1000), np.float32('nan')), np.float32)

    def points(self) -> npt.NDArray[Any]:
        """Points of a PointCloud2 as a structured array (H, W) with the cloud's own field names.

        Raises:
            InputError: another message, or data that don't fit its size.
        """
        if self.type != POINTS:
            raise InputError(f'{self.topic}: {self.type} holds no points')
        with naming(self.topic):
            return structured_points(self.message)

    def camera(self) -> Intrinsics:
        """Intrinsics of the images that a CameraInfo describes, from its matrix K, region of interest and binning.

        Raises:
            InputError: another message, or intrinsics that make no camera.
        """
        if self.type != CAMERA_INFO:
            raise InputError(f'{self.topic}: {self.type} holds no camera')
        return intrinsics_from_message(self.message)

    def calibration(self) -> Calibration:
        """What a CameraInfo says of its camera and lens.

        Raises:
            InputError: as ``camera``.
        """
        self.camera()
        return Calibration.from_message(self.message)


class Recording:
    """A recording that is open for reading, whole or what is left of it.

    Attributes:
        topics: names with their types.
        counts: messages by topic.
        problems: why it can't be read as it should; empty if it is whole. More may come while it is read.
    """

    def __init__(self, reader: AnyReader | Salvage, problems: Collection[str] = ()) -> None:
        self.problems = list(problems)
        self._reader = reader
        if isinstance(reader, Salvage):
            self.topics, self.counts = dict(reader.topics), dict(reader.counts)
            self.problems += reader.problems
        else:
            self.topics = {connection.topic: connection.msgtype for connection in reader.connections}
            self.counts = dict.fromkeys(self.topics, 0)
            for connection in reader.connections:
                self.counts[connection.topic] += connection.msgcount

    def read(self, topics: Collection[str]) -> Iterator[Record]:
        """Messages in the order in which they were recorded; damage found on the way ends them and is a problem."""
        unreadable = 0
        try:
            for topic, kind, log_ns, data in self._messages(topics):
                try:
                    message: Any = self._typestore.deserialize_cdr(data, kind)
                except (SerdeError, KeyError, ValueError, IndexError, struct.error):
                    unreadable += 1
                    continue
                yield Record(topic, kind, _stamp_ns(message, log_ns), log_ns, message)
        except DAMAGES as error:
            self.problems.append(f'it ends early, for it is damaged ({error})')
        if unreadable:
            self.problems.append(f'{unreadable} messages cannot be decoded')

    @property
    def _typestore(self) -> Typestore:
        # The image messages are the same in all releases.
        return TYPES if isinstance(self._reader, Salvage) else self._reader.typestore

    def _messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        if isinstance(self._reader, Salvage):
            yield from self._reader.messages(topics)
            return
        wanted = [connection for connection in self._reader.connections if connection.topic in topics]
        for connection, log_ns, data in self._reader.messages(wanted) if wanted else ():
            yield connection.topic, connection.msgtype, log_ns, data


@contextmanager
def open_recording(bag: Path) -> Iterator[Recording]:
    """Open a recording, damaged or not; what is wrong with it is among its problems.

    Raises:
        InputError: no such recording, or nothing of it can be read.
    """
    with ExitStack() as stack:
        try:
            recording = Recording(stack.enter_context(_open(bag)))
        except InputError as error:
            if not bag.exists() or bag.suffix == '.bag':
                raise
            missing = bag.is_dir() and not (bag / 'metadata.yaml').is_file()
            left = Salvage(bag)
            reason = 'no metadata.yaml' if missing else '' if left.problems else str(error)
            recording = Recording(left, [reason] if reason else [])
        yield recording


def topics_of(bag: Path) -> dict[str, str]:
    """Names of the topics in a recording, with their types.

    Raises:
        InputError: no such recording, or it can't be read.
    """
    with _open(bag) as reader:
        return Recording(reader).topics


def duration_of(bag: Path) -> float:
    """Seconds from a recording's first message to its last.

    Raises:
        InputError: no such recording, or it can't be read.
    """
    with _open(bag) as reader:
        return max(0, reader.duration) / SECOND


def read_bag(bag: Path, topics: Collection[str] | None = None) -> Iterator[Record]:
    """Read a recording's messages in the order in which they were recorded; ``topics`` None means all.

    Raises:
        InputError: no such recording, a topic that is not in it, or it can't be read.
    """
    with _open(bag) as reader:
        recording = Recording(reader)
        missing = sorted(set(topics or ()) - recording.topics.keys())
        if missing:
            raise InputError(f'{bag}: no topic {missing[0]}; it has {", ".join(sorted(recording.topics)) or "none"}')
        yield from recording.read(recording.topics if topics is None else topics)
        if recording.problems:
            raise InputError(f'{bag}: not a readable rosbag2 recording ({recording.problems[0]})')


def encoding_of(image: npt.NDArray[Any]) -> str:
    """The encoding in which an array is stored: rgb8, mono8, mono16 or 32FC1.

    Raises:
        InputError: no encoding fits its shape and type.
    """
    names = {(3, 'uint8'): 'rgb8', (2, 'uint8'): 'mono8', (2, 'uint16'): 'mono16', (2, 'float32'): '32FC1'}
    name = names.get((image.ndim, image.dtype.name))
    if name is None or image.shape[2:] not in ((), (3,)):
        raise InputError(f'image of shape {image.shape} and type {image.dtype} has no encoding here')
    return name


def quaternion_from_rotation(rotation: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Unit quaternion (x, y, z, w) of a rotation matrix (3, 3)."""
    # The eigenvector of the largest eigenvalue of Bar-Itzhack's matrix: exact for a rotation, nearest otherwise.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    bar_itzhack = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(bar_itzhack, UPLO='L')[1][:, -1].tolist()
    return (x, y, z, w) if w >= 0 else (-x, -y, -z, -w)


def rotation_from_quaternion(x: float, y: float, z: float, w: float) -> npt.NDArray[np.float64]:
    """Rotation matrix (3, 3) of a quaternion of any length but 0."""
    x, y, z, w = np.array([x, y, z, w]) / np.linalg.norm([x, y, z, w])
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@contextmanager
def _open(bag: Path) -> Iterator[AnyReader]:
    if not bag.exists():
        raise InputError(f'{bag}: no such recording')
    if bag.suffix == '.bag':
        raise InputError(f'{bag}: a ROS 1 recording; convert it with rosbags-convert')
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(AnyReader([bag], default_typestore=TYPES))
        except DAMAGES as error:
            raise InputError(f'{bag}: not a readable rosbag2 recording ({error})') from error
        yield reader


def _stamp_ns(message: Any, log_ns: int) -> int:
    header = getattr(message, 'header', None)
    return log_ns if header is None else header.stamp.sec * SECOND + header.stamp.nanosec


def _header(stamp_ns: int, frame_id: str) -> Any:
    stamp = TYPES.types['builtin_interfaces/msg/Time'](sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)
    return TYPES.types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def _transform_message(stamp_ns: int, transform: Transform) -> Any:
    types = TYPES.types
    x, y, z = transform.matrix[:3, 3].tolist()
    qx, qy, qz, qw = quaternion_from_rotation(transform.matrix[:3, :3])
    return types['geometry_msgs/msg/TransformStamped'](
        header=_header(stamp_ns, transform.parent),
        child_frame_id=transform.child,
        transform=types['geometry_msgs/msg/Transform'](
            translation=types['geometry_msgs/msg/Vector3'](x=x, y=y, z=z),
            rotation=types['geometry_msgs/msg/Quaternion'](x=qx, y=qy, z=qz, w=qw),
        ),
    )


def _qos(latched: bool = False) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )
