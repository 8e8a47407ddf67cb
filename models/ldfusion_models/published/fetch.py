"""Published models onto this machine: from the hub, a folder or an archive; whole and pinned, or not at all."""

import errno
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.files import copy_file, sha256_of
from ldfusion_models.published.catalogue import hub_name
from ldfusion_models.published.store import (
    LOCK,
    TEXT_CONFIG,
    Lock,
    folder_of,
    how_to_fetch,
    read_lock,
    sums_of,
    verified,
    write_lock,
)

PARTIAL = '.partial'
BEGUN = '.begun'
WANTED = ('*.json', '*.jinja', '*.txt', '*.model', 'LICENSE*', '*.md')
WEIGHTS = '*.safetensors'
CONFIGS = ('config.json', TEXT_CONFIG)


def fetch(name: str, revision: str = '', source: Path | None = None, again: bool = False) -> Lock:
    """Install a model under OWNER/NAME.

    Args:
        name: OWNER/NAME, or what open_clip calls it.
        revision: branch, tag or commit on the hub; empty for the newest, or whatever is installed.
        source: a folder or archive that holds the model, instead of the hub.
        again: replace what is installed, even if it is whole.

    Raises:
        InputError: it can't be had, with the reason and the remedy; what was installed before stays.
    """
    name = hub_name(name)
    before = None if again else read_lock(name)
    if before is not None and source is None and revision in ('', before.revision):
        verified(name)
        return before
    target = folder_of(name)
    partial = target.parent / PARTIAL / target.name
    with _explained(name, target):
        partial.mkdir(parents=True, exist_ok=True)
        if source is not None:
            _copy(source, partial)
            found = ''
        else:
            found = _download(name, revision, partial)
        if not any((partial / config).is_file() for config in CONFIGS):
            shutil.rmtree(partial)
            raise InputError(f'{source or name}: holds no config.json; not a model of transformers or open_clip')
        lock = Lock(name, found, str(source or _host()), sums_of(partial))
        write_lock(partial, lock)
        shutil.rmtree(partial / BEGUN, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return lock


def _copy(source: Path, partial: Path) -> None:
    """Fill ``partial`` from a folder, or from an archive that holds one."""
    shutil.rmtree(partial)
    if source.is_dir():
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns('.*', LOCK), copy_function=copy_file)
        return
    if not source.is_file():
        raise InputError(f'{source}: no such folder or archive')
    with tempfile.TemporaryDirectory(dir=partial.parent) as unpacked:
        try:
            _unpack(source, Path(unpacked))
        except (tarfile.TarError, zipfile.BadZipFile, ValueError, EOFError) as error:
            raise InputError(f'{source}: not a readable archive ({error}); take .zip or .tar.gz') from error
        configs = [path for config in CONFIGS for path in Path(unpacked).rglob(config)]
        inner = min(configs, key=lambda path: len(path.parts)).parent if configs else Path(unpacked)
        shutil.copytree(inner, partial, ignore=shutil.ignore_patterns('.*', LOCK), copy_function=copy_file)


def _unpack(archive: Path, folder: Path) -> None:
    """Nothing gets out of ``folder``: zipfile sees to it, tarfile by a filter, which the Python of Debian 12 lacks."""
    if archive.suffix == '.zip':
        with zipfile.ZipFile(archive) as members:
            members.extractall(folder)
        return
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, 'data_filter'):
            tar.extractall(folder, filter='data')
            return
        for member in tar:
            place = (folder / member.name).resolve()
            if not (member.isfile() or member.isdir()) or not place.is_relative_to(folder.resolve()):
                raise tarfile.TarError(f'{member.name} is no file of its own folder')
            tar.extract(member, folder)


def _download(name: str, revision: str, partial: Path) -> str:
    """Bring the files that transformers needs; returns the commit. What an earlier try left is gone on with."""
    try:
        from huggingface_hub import HfApi, hf_hub_url
    except ImportError as error:
        raise InputError(f'downloads need huggingface_hub; {how_to_install("language")}') from error
    info = HfApi(endpoint=_host()).model_info(name, revision=revision or None, files_metadata=True)
    files = _wanted(list(info.siblings or []))
    if not any(fnmatch(file.rfilename, WEIGHTS) for file in files):
        raise InputError(f'{name}: the hub holds no safetensors of it; pickled weights are not loaded')
    missing = sum(file.size or 0 for file in files if not (partial / file.rfilename).is_file())
    free = shutil.disk_usage(partial).free
    if missing > free:
        raise InputError(f'{partial.parent}: disk full: {missing >> 20} MB are needed, {free >> 20} MB are free')
    for stray in set(sums_of(partial)) - {file.rfilename for file in files}:
        (partial / stray).unlink()
    for file in files:
        if not _is_whole(partial / file.rfilename, file):
            _load(hf_hub_url(name, file.rfilename, revision=info.sha, endpoint=_host()), file, name, partial)
    return str(info.sha)


def _load(url: str, file: Any, name: str, partial: Path) -> None:
    """One file of the hub into ``partial``; what an interrupted try has written is not asked for again."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    # Of these bytes only: the model may change between two tries.
    incomplete = partial / BEGUN / f'{file.rfilename}.{file.blob_id}'
    incomplete.parent.mkdir(exist_ok=True)
    with incomplete.open('ab') as target:
        http_get(url, target, resume_size=target.tell(), headers=build_hf_headers(), expected_size=file.size)
    if not _is_whole(incomplete, file):
        incomplete.unlink()
        raise InputError(f'{name}: {file.rfilename} came damaged; {how_to_fetch(name)} loads it anew')
    incomplete.replace(partial / file.rfilename)


def _wanted(files: list[Any]) -> list[Any]:
    """What transformers or open_clip read; what lies in folders is of other libraries (onnx, coreml)."""
    # Models of open_clip may have the same weights in the form of other libraries as well.
    is_text = any(file.rfilename.startswith('open_clip') and fnmatch(file.rfilename, WEIGHTS) for file in files)
    patterns = (*WANTED, f'open_clip{WEIGHTS}' if is_text else WEIGHTS)
    return [
        file
        for file in files
        if '/' not in file.rfilename and any(fnmatch(file.rfilename, pattern) for pattern in patterns)
    ]


def _is_whole(path: Path, file: Any) -> bool:
    """Whether a file has the bytes that the hub promises: by sha256, or by git's sum for small ones."""
    if not path.is_file():
        return False
    if file.lfs is not None:
        return sha256_of(path) == str(file.lfs.sha256)
    content = path.read_bytes()
    return hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest() == str(file.blob_id)


def _host() -> str:
    return os.environ.get('HF_ENDPOINT', 'https://huggingface.co')


@contextmanager
def _explained(name: str, target: Path) -> Iterator[None]:
    """One line for whatever a download may raise."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # huggingface_hub raises its own kinds, the network's and the file system's
        raise InputError(_reason(error, name, target)) from error


def _reason(error: Exception, name: str, target: Path) -> str:
    kind, host = type(error).__name__, _host()
    response = getattr(error, 'response', None)
    if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f'{target.parent}: disk full; make room, then {how_to_fetch(name)} goes on where it stopped'
    if kind == 'RepositoryNotFoundError':
        return f'{name}: {host} knows no such model, or asks for a login (hf auth login)'
    status = getattr(response, 'status_code', None)
    if kind == 'GatedRepoError' or status in (401, 403):
        return f'{name}: its licence must be accepted first, at {host}/{name}; then hf auth login, and fetch it again'
    if kind == 'RevisionNotFoundError':
        return f'{name}: has no such revision at {host}'
    if response is None and isinstance(error, OSError) and error.errno is not None:
        return f'{error.filename or target}: cannot be written ({error.strerror})'
    first = str(error).strip().partition('\n')[0] or kind
    return f'{name}: download interrupted ({first}); {how_to_fetch(name)} goes on where it stopped'
