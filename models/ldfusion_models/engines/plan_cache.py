"""Built TensorRT engines on disk: found again only for the graph, software and GPU that they were built for."""

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ldfusion_models.files import written_whole

MAGIC = b'ldfusion plan 1\n'


@dataclass(frozen=True)
class PlanKey:
    """What an engine is built for; any difference makes it another one.

    Attributes:
        graph: sha256 of the ONNX model, weights included.
        tensorrt: version of the library.
        gpu: name of the device.
        compute_capability: of the device, such as 8.7.
        precision: fp32, mixed or int8.
        size: width x height of the images.
    """

    graph: str
    tensorrt: str
    gpu: str
    compute_capability: str
    precision: str
    size: str

    def for_timings(self) -> 'PlanKey':
        """The key of the kernels' timings, which all graphs on one GPU share."""
        return replace(self, graph='', precision='', size='')

    @property
    def file_name(self) -> str:
        """A name for people, made unique by a digest over the key."""
        digest = hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]
        return f'{self.size or "timings"}-{digest}.plan'


def default_folder() -> Path:
    """``ldfusion_ros/tensorrt`` in the user's cache folder."""
    base = os.environ.get('XDG_CACHE_HOME')
    return (Path(base) if base else Path.home() / '.cache') / 'ldfusion_ros' / 'tensorrt'


def store(folder: Path, key: PlanKey, content: bytes) -> Path:
    """Write ``content`` with its key and checksum, whole or not at all.

    Raises:
        InputError: the folder can't be written.
    """
    header = json.dumps(asdict(key) | {'sha256': hashlib.sha256(content).hexdigest()})
    path = folder / key.file_name
    with written_whole(path) as temporary:
        temporary.write_bytes(MAGIC + header.encode() + b'\n' + content)
    return path


def load(folder: Path, key: PlanKey) -> bytes | None:
    """What was stored under this very key; None if nothing was, or the file is damaged or foreign."""
    path = folder / key.file_name
    if not path.is_file():
        return None
    magic, _, rest = path.read_bytes().partition(b'\n')
    header, _, content = rest.partition(b'\n')
    try:
        facts = json.loads(header) if magic + b'\n' == MAGIC else None
    except ValueError:
        facts = None
    if facts != asdict(key) | {'sha256': hashlib.sha256(content).hexdigest()}:
        logging.getLogger(__name__).warning('%s: damaged or not made for this machine; it is built anew', path)
        return None
    return content
