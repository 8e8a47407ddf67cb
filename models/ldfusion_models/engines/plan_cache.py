"""Built TensorRT engines on disk: each says what it is for, and serves only there."""

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError
from ldfusion_models.files import written_whole
from ldfusion_models.paths import named_path

log = logging.getLogger(__name__)
MAGIC = b'ldfusion plan 2\n'
DAMAGED = 'damaged, or of another version of ldfusion_ros'


@dataclass(frozen=True)
class PlanKey:
    """What an engine is built for.

    Attributes:
        graph: sha256 of the ONNX model, weights included.
        library: name and version.
        capabilities: compute capabilities that it runs on, such as 8.7; of a key that is looked for, the GPU's own.
        gpu: the GPU that kernels were timed on; empty for an engine that any of these capabilities runs.
        precision: fp32 or mixed.
        size: width x height of the images.
    """

    graph: str
    library: str
    capabilities: tuple[str, ...]
    gpu: str
    precision: str
    size: str

    @property
    def file_name(self) -> str:
        """What it is for, made unique by a digest over all of it."""
        library = self.library.replace(' ', '-')
        digest = _digest(json.dumps(asdict(self)))[:8]
        return f'{self.size}-{self.precision}-cc{"+".join(self.capabilities)}-{library}-{digest}.plan'

    def obstacle(self, wanted: 'PlanKey') -> str:
        """Why an engine with this key does not serve where ``wanted`` is looked for; empty if it does."""
        reasons = {
            f'for images of {self.size}': self.size != wanted.size,
            f'in precision {self.precision}': self.precision != wanted.precision,
            f'by {self.library}, here is {wanted.library}': self.library != wanted.library,
            f'for compute capability {", ".join(self.capabilities)}, this GPU has {wanted.capabilities[0]}': (
                not set(wanted.capabilities) <= set(self.capabilities)
            ),
            f'on {self.gpu}, this GPU is {wanted.gpu}': self.gpu != wanted.gpu,
            'of other weights': self.graph != wanted.graph,
        }
        return next((f'built {reason}' for reason, differs in reasons.items() if differs), '')


def default_folder() -> Path:
    """``ldfusion_ros/tensorrt`` in the user's cache folder."""
    base = os.environ.get('XDG_CACHE_HOME')
    return named_path(base or '~/.cache') / 'ldfusion_ros' / 'tensorrt'


def store(folder: Path, key: PlanKey, content: bytes) -> Path:
    """Write ``content`` with its key and checksum, whole or not at all.

    Raises:
        InputError: the folder can't be written.
    """
    path = folder / key.file_name
    _write(path, asdict(key), content)
    return path


def find(folder: Path, wanted: PlanKey) -> bytes | None:
    """An engine that serves where ``wanted`` is looked for; None if there is none, which the log explains."""
    refused = []
    for path in sorted(folder.glob('*.plan')):
        facts = _facts(path)
        obstacle = _key(facts).obstacle(wanted) if facts else DAMAGED
        if facts and not obstacle:
            content = _content(path)
            if content is not None:
                return content
            obstacle = DAMAGED
        refused.append(f'{path.name}: {obstacle}')
    if refused:
        log.warning('%s: no engine there serves: %s', folder, '; '.join(refused))
    return None


def store_side(folder: Path, title: str, content: bytes) -> None:
    """Keep what only saves time; that it can't be written is said and no more."""
    try:
        _write(_side(folder, title), {'title': title}, content)
    except InputError as error:
        log.warning('%s; it is made anew at every start', error)


def load_side(folder: Path, title: str) -> bytes | None:
    """What was kept under ``title``; None if nothing was, or the file is damaged."""
    path = _side(folder, title)
    return _content(path) if _facts(path) == {'title': title} else None


def _side(folder: Path, title: str) -> Path:
    return folder / f'{title.partition(" ")[0]}-{_digest(title)[:8]}.cache'


def _write(path: Path, facts: dict[str, Any], content: bytes) -> None:
    header = json.dumps(facts | {'sha256': hashlib.sha256(content).hexdigest()})
    with written_whole(path) as temporary:
        try:
            temporary.write_bytes(MAGIC + header.encode() + b'\n' + content)
        except OSError as error:
            raise InputError(f'{path}: cannot write there ({error.strerror})') from error


def _facts(path: Path) -> dict[str, Any] | None:
    """What the header of a file says but for the checksum; None if there is no such file, or it is not ours."""
    header = _header(path)
    return header and {name: value for name, value in header.items() if name != 'sha256'}


def _content(path: Path) -> bytes | None:
    """What a file with a header holds; None if it is not what was written."""
    header = _header(path)
    content = path.read_bytes().split(b'\n', 2)[-1]
    return content if header and header.get('sha256') == hashlib.sha256(content).hexdigest() else None


def _header(path: Path) -> dict[str, Any] | None:
    try:
        with path.open('rb') as file:
            header: dict[str, Any] | None = None
            if file.readline(len(MAGIC)) == MAGIC:
                header = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return header


def _key(facts: dict[str, Any]) -> PlanKey:
    return PlanKey(**facts | {'capabilities': tuple(facts['capabilities'])})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
