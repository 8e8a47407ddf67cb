"""A disk that is really full: a file system of a few megabytes of its own, or the kernel's limit on file sizes."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub, serving
from limits import largest_file

pytest.importorskip('huggingface_hub')
from tiny_depth import write_glpn
from tiny_language import write_encoder

from ldfusion_training.cli import main
from ldfusion_training.language import named

NAME = 'owner/tiny'
NOT_PERMITTED = 77
# The command runs there; what is left is listed, for the file system goes with the process.
ON_SMALL_DISK = f"""
mount -t tmpfs -o size="$1" tmpfs "$LDFUSION_MODELS" || exit {NOT_PERMITTED}
shift
"$@"
code=$?
cd "$LDFUSION_MODELS"
find . -type f
exit $code
"""
LDFUSION = (sys.executable, '-c', 'import sys; from ldfusion_training.cli import main; sys.exit(main())')


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / 'store'
    folder.mkdir()
    monkeypatch.setenv('LDFUSION_MODELS', str(folder))
    return folder


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = tmp_path / 'published'
    folder.mkdir()
    (folder / 'config.json').write_text('{"model_type": "tiny"}')
    (folder / 'model.safetensors').write_bytes(bytes(range(256)) * 12_000)
    with serving(Hub(NAME, folder)) as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.url)
        yield hub


def fails_on_small_disk(size: str, *words: str) -> tuple[str, list[str]]:
    """The one line of error of a command whose store is on a disk of ``size``, and the files left there."""
    if shutil.which('unshare') is None:
        pytest.skip('needs unshare')
    command = ['unshare', '--map-root-user', '--mount', 'sh', '-c', ON_SMALL_DISK, 'sh', size]
    run = subprocess.run([*command, *LDFUSION, *words], capture_output=True, text=True, check=False)
    if run.returncode == NOT_PERMITTED or 'unshare:' in run.stderr:
        pytest.skip('no file system may be mounted here')
    lines = [line for line in run.stderr.splitlines() if line.startswith('ldfusion: ')]
    assert (run.returncode, len(lines)) == (2, 1), run.stderr
    assert 'Traceback' not in run.stderr
    return lines[0], sorted(line for line in run.stdout.splitlines() if line.startswith('./'))


def test_what_does_not_fit_is_told_before_it_is_loaded(store: Path, published: Hub) -> None:
    line, left = fails_on_small_disk('2m', 'models', 'fetch', NAME)
    assert 'disk full: 2 MB are needed, 2 MB are free' in line
    assert not left


def test_a_folder_that_does_not_fit_is_not_installed(store: Path, published: Hub) -> None:
    line, left = fails_on_small_disk('2m', 'models', 'fetch', NAME, '--source', str(published.folder))
    assert 'cannot be written (No space left on device)' in line
    assert all(name.startswith('./.partial/') for name in left)


def test_a_download_that_finds_no_room_goes_on_later(store: Path, published: Hub) -> None:
    limited = ['sh', '-c', 'ulimit -f 2048; exec "$@"', 'sh', *LDFUSION, 'models', 'fetch', NAME]
    run = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    (line,) = [line for line in run.stderr.splitlines() if line.startswith('ldfusion: ')]
    assert 'disk full; make room' in line
    assert [path.name for path in store.iterdir()] == ['.partial']
    assert main(['models', 'fetch', NAME]) == 0
    assert published.ranges, 'what was there is not asked for again'


def test_what_does_not_fit_when_a_graph_is_folded_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime writes the folded graph, and does not say what went wrong."""
    monkeypatch.setenv('TMPDIR', str(store))
    line, left = fails_on_small_disk('40m', 'export', '--size', '64x48', '--output', str(store / 'graph.onnx'))
    assert 'No space left on device' in line
    assert not [name for name in left if name.endswith('.onnx')]


@pytest.mark.parametrize('write', [write_glpn, write_encoder])
def test_preparing_without_room_leaves_the_model_as_it_was(
    write, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write(store / 'model')
    before = sorted(path.name for path in model.iterdir())
    # What is fitted to few texts is no good, but that is not looked at.
    for count in ('WORDINGS_OF_SEVERAL', 'WORDS_OF_MEANING', 'WORDS_OF_NONE'):
        monkeypatch.setattr(named, count, 5)
    with largest_file(2_000_000):
        assert main(['models', 'prepare', str(model), '--size', '96x64']) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('ldfusion: ')]
    assert 'cannot be written (File too large)' in line
    of_text = ['embeddings.npz'] if write is write_encoder else []
    assert sorted(path.name for path in model.iterdir()) == sorted(before + of_text), (
        'embeddings are kept for the next try'
    )
