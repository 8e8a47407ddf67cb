"""Where published models lie on this machine: a folder each, with a lock file that fixes revision and bytes."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ldfusion_models.choices import EMBEDDED
from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of, written_whole
from ldfusion_models.paths import named_path
from ldfusion_models.published.catalogue import METRIC_SIBLINGS, hub_name

OWNER_AND_NAME = re.compile(r'[\w.-]+/[\w.-]+')
LOCK = 'ldfusion.lock.json'
TEXT_CONFIG = 'open_clip_config.json'


@dataclass(frozen=True)
class Lock:
    """What was fetched.

    Attributes:
        name: OWNER/NAME.
        revision: commit on the hub; empty for what came from a folder or an archive.
        source: where it came from.
        files: sha256 of every file by its path in the model's folder.
    """

    name: str
    revision: str
    source: str
    files: Mapping[str, str]


def store_folder() -> Path:
    """Folder of all models: ``LDFUSION_MODELS``, or ``ldfusion_ros/models`` in the user's cache folder."""
    if named := os.environ.get('LDFUSION_MODELS'):
        return Path(named)
    base = os.environ.get('XDG_CACHE_HOME')
    return named_path(base or '~/.cache') / 'ldfusion_ros' / 'models'


def folder_of(name: str) -> Path:
    """Where the model OWNER/NAME lies, or would; open_clip's name of a text encoder that is known does as well.

    Raises:
        InputError: no name of that form.
    """
    if not OWNER_AND_NAME.fullmatch(name):
        raise InputError(f'{name}: write a published model as OWNER/NAME')
    return store_folder() / hub_name(name).replace('/', '--')


def read_lock(name: str) -> Lock | None:
    """What is installed under OWNER/NAME; None if nothing is.

    Raises:
        InputError: no name, or a lock file that cannot be read.
    """
    path = folder_of(name) / LOCK
    if not path.is_file():
        return None
    try:
        return Lock(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f'{path}: not readable ({error}); {how_to_fetch(name)} --again') from error


def write_lock(folder: Path, lock: Lock) -> None:
    """Write the lock file of a model that lies in ``folder``."""
    with written_whole(folder / LOCK) as temporary:
        temporary.write_text(json.dumps(asdict(lock), indent=1) + '\n')


def sums_of(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a model by its path; hidden ones and the lock file are none of its files."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob('*')) if path.is_file())
    return {
        str(path): sha256_of(folder / path)
        for path in paths
        if str(path) != LOCK and not any(part.startswith('.') for part in path.parts)
    }


def verified(name: str) -> Path:
    """The folder of an installed model, every file as it was fetched.

    Raises:
        InputError: it is not installed, or a file is missing or has changed.
    """
    lock = read_lock(name)
    if lock is None:
        raise InputError(f'{name}: not on this machine; {how_to_fetch(name)}')
    folder = folder_of(name)
    for path, expected in lock.files.items():
        if not (folder / path).is_file() or sha256_of(folder / path) != expected:
            raise InputError(f'{folder / path}: missing, or not what was fetched; {how_to_fetch(name)} --again')
    return folder


def local_model(setting: str) -> Path:
    """The folder of a model that is named as a folder or as OWNER/NAME, its files checked; nothing is downloaded.

    Raises:
        InputError: no such folder, or a model that is not installed, or not as it was fetched.
    """
    folder = named_path(setting)
    return folder if folder.is_dir() else verified(_name(setting))


def _name(setting: str) -> str:
    if not OWNER_AND_NAME.fullmatch(setting):
        raise InputError(f'{setting}: no such folder; name a folder, or a published model as OWNER/NAME')
    if setting in METRIC_SIBLINGS:
        raise InputError(f'{setting}: gives depth without a unit; its metric sibling is {METRIC_SIBLINGS[setting]}')
    return setting


def graph_of(folder: Path, source: str) -> Path:
    """Where the frame graph with the depth network in ``folder`` lies, once prepared for depth of image ``source``."""
    return folder / f'frame_graph_{source}.onnx'


def prepared_graph(setting: str, source: str) -> Path:
    """The frame graph with a depth network that is named as a folder or as OWNER/NAME.

    The graph holds its weights and their sum, so the model's own files are not read.

    Raises:
        InputError: it is not here or not prepared, with the one command that makes it so.
    """
    path = graph_of(_folder(setting), source)
    if not path.is_file():
        option = '' if source == 'fused' else f' --depth-source {source}'
        raise InputError(f'{setting}: not prepared; ldfusion models prepare {setting}{option}')
    return path


def fusion_of(folder: Path) -> Path:
    """Where the weights lie whose modulation was fitted to the text encoder in ``folder``, once prepared."""
    return folder / 'fusion'


def fitted_fusion(setting: str) -> Path | None:
    """The folder of weights for a text encoder that is named as a folder or as OWNER/NAME; None for the package's own.

    Raises:
        InputError: it is not here or not prepared, with the one command that makes it so.
    """
    if setting == EMBEDDED:
        return None
    path = fusion_of(_folder(setting))
    if not path.is_dir():
        raise InputError(f'{setting}: not prepared; ldfusion models prepare {setting}')
    return path


def task_of(setting: str) -> str:
    """What a model that is here is for: ``depth``, ``text`` or ``captions``.

    Raises:
        InputError: it is not here, or its config.json is damaged.
    """
    folder = _folder(setting)
    if (folder / TEXT_CONFIG).is_file():
        return 'text'
    try:
        kinds = json.loads((folder / 'config.json').read_text()).get('architectures') or []
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f'{folder / "config.json"}: not readable ({error})') from error
    return 'depth' if any('DepthEstimation' in str(kind) for kind in kinds) else 'captions'


def _folder(setting: str) -> Path:
    folder = named_path(setting)
    folder = folder if folder.is_dir() else folder_of(_name(setting))
    if not folder.is_dir():
        raise InputError(f'{setting}: not on this machine; {how_to_fetch(setting)}')
    return folder


def how_to_fetch(name: str) -> str:
    """The one command that brings a model."""
    return f'ldfusion models fetch {name}'
