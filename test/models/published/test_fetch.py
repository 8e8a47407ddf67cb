"""Published models onto this machine: whole and pinned, or not at all, with one line that says why."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import REVISION, Hub, serving, sum_of

pytest.importorskip('huggingface_hub')

from ldfusion_models.published.store import LOCK, folder_of, verified
from ldfusion_training.cli import main

NAME = 'owner/tiny'
WEIGHTS = bytes(range(256)) * 12_000


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('LDFUSION_MODELS', str(tmp_path / 'store'))
    return tmp_path / 'store'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / 'published'
    folder.mkdir()
    (folder / 'config.json').write_text('{"model_type": "tiny"}')
    (folder / 'model.safetensors').write_bytes(WEIGHTS)
    (folder / 'pytorch_model.bin').write_bytes(b'what nobody needs')
    return folder


@pytest.fixture
def hub(model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub(NAME, model)) as server:
        monkeypatch.setenv('HF_ENDPOINT', server.url)
        yield server


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that the command ends with."""
    capsys.readouterr()
    assert main(['models', 'fetch', *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('ldfusion')]
    assert len(lines) == 1
    return lines[0]


def test_a_model_comes_whole_with_its_revision_and_sums(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['models', 'fetch', NAME]) == 0
    folder = verified(NAME)
    assert sorted(path.name for path in folder.iterdir()) == ['config.json', LOCK, 'model.safetensors']
    lock = json.loads((folder / LOCK).read_text())
    assert lock['revision'] == REVISION
    assert lock['files']['model.safetensors'] == sum_of(WEIGHTS)
    hub.folder = Path('/nowhere')
    assert main(['models', 'fetch', NAME]) == 0, 'what is here is not loaded again'
    capsys.readouterr()
    assert main(['models', 'list']) == 0
    assert f'| {NAME} |  |  |  |  |  | {REVISION[:12]} |' in capsys.readouterr().out


def test_an_interrupted_download_goes_on_where_it_stopped(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(file_download.time, 'sleep', lambda _: None)
    monkeypatch.setattr(constants, 'DOWNLOAD_CHUNK_SIZE', 1 << 20)
    hub.breaks_after = (1 << 20) + 1000
    line = fails(capsys, NAME)
    assert 'interrupted' in line
    assert 'goes on where it stopped' in line
    assert not folder_of(NAME).exists()
    hub.breaks_after, hub.ranges = 0, []
    assert main(['models', 'fetch', NAME]) == 0
    assert (verified(NAME) / 'model.safetensors').read_bytes() == WEIGHTS
    assert hub.ranges == [f'bytes={1 << 20}-']


def test_damaged_files_are_not_installed_and_loaded_anew(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.damages = True
    assert 'model.safetensors came damaged' in fails(capsys, NAME)
    assert not folder_of(NAME).exists()
    hub.damages = False
    assert main(['models', 'fetch', NAME]) == 0


def test_what_the_hub_refuses_is_said_in_one_line(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert 'has no such revision' in fails(capsys, NAME, '--revision', 'v9')
    assert 'knows no such model' in fails(capsys, 'owner/other')
    hub.gated = True
    line = fails(capsys, NAME)
    assert 'licence must be accepted' in line
    assert f'{hub.url}/{NAME}' in line
    assert not folder_of(NAME).exists()


def test_a_full_disk_is_told_before_anything_is_loaded(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(Path('/'))
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage._replace(free=1 << 20))
    line = fails(capsys, NAME)
    assert 'disk full: 2 MB are needed, 1 MB are free' in line
    assert not folder_of(NAME).exists()


def test_pickled_weights_are_not_brought(hub: Hub, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / 'model.safetensors').unlink()
    assert 'no safetensors' in fails(capsys, NAME)
    assert not folder_of(NAME).exists()


def test_without_a_network_the_remedy_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9')
    assert 'interrupted' in fails(capsys, NAME)


@pytest.mark.parametrize('kind', ['folder', 'zip', 'gztar'])
def test_a_folder_or_an_archive_serves_without_network(kind: str, model: Path, tmp_path: Path) -> None:
    source = model
    if kind != 'folder':
        source = Path(shutil.make_archive(str(tmp_path / 'archive'), kind, tmp_path, 'published'))
    assert main(['models', 'fetch', NAME, '--source', str(source)]) == 0
    assert (verified(NAME) / 'model.safetensors').read_bytes() == WEIGHTS


@pytest.mark.parametrize('knows_filters', [True, False])
def test_an_archive_writes_nowhere_else(
    knows_filters: bool,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not knows_filters:
        monkeypatch.delattr(tarfile, 'data_filter', raising=False)
    archive = tmp_path / 'odd.tar.gz'
    with tarfile.open(archive, 'w:gz') as tar:
        tar.add(model, 'published')
        tar.add(model / 'config.json', '../../../escaped.json')
    assert 'escaped.json' in fails(capsys, NAME, '--source', str(archive))
    assert not list(tmp_path.rglob('escaped.json'))


def test_what_is_no_model_leaves_the_installed_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['models', 'fetch', NAME, '--source', str(model)]) == 0
    broken = tmp_path / 'broken.zip'
    broken.write_bytes(b'PK no archive')
    assert 'not a readable archive' in fails(capsys, NAME, '--source', str(broken))
    (tmp_path / 'empty').mkdir()
    assert 'no config.json' in fails(capsys, NAME, '--source', str(tmp_path / 'empty'))
    assert 'no such folder or archive' in fails(capsys, NAME, '--source', str(tmp_path / 'nothing'))
    verified(NAME)


def test_a_file_that_has_changed_is_named_with_the_remedy(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['models', 'fetch', NAME, '--source', str(model)]) == 0
    (folder_of(NAME) / 'config.json').write_text('{}')
    line = fails(capsys, NAME)
    assert 'config.json' in line
    assert f'ldfusion models fetch {NAME} --again' in line
