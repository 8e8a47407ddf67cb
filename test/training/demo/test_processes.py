"""Programs run beside this one are measured as they are, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ldfusion_models.errors import InputError
from ldfusion_training.demo.processes import Child, find_executable

STUBBORN = 'import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint("up")\ntime.sleep(60)'


def child(tmp_path: Path, script: str, **environment: str) -> Child:
    return Child('script', [sys.executable, '-c', script], tmp_path / 'script.log', environment)


def is_alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_interrupt_lets_a_program_finish_its_work(tmp_path: Path) -> None:
    script = 'import time\ntry:\n print("up"); time.sleep(60)\nexcept KeyboardInterrupt:\n print("finished")'
    with child(tmp_path, script) as running:
        assert running.wait_for('up\n', 20)
    assert (running.is_running, running.wait(0), running.last_lines(1)) == (False, 0, 'finished')


def test_a_program_that_ignores_requests_is_killed(tmp_path: Path) -> None:
    running = child(tmp_path, STUBBORN)
    assert running.wait_for('up', 20)
    assert running.stop(0.2) == -signal.SIGKILL


def test_ctrl_c_while_a_program_starts_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt_parent() -> None:
        (tmp_path / 'pid').write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGINT)

    monkeypatch.setattr('ldfusion_training.demo.processes._die_with_parent', interrupt_parent)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        child(tmp_path, 'import time; time.sleep(60)')
    assert not is_alive(int((tmp_path / 'pid').read_text()))
    assert signal.getsignal(signal.SIGINT) is before


def test_waiting_for_words_ends_with_the_program(tmp_path: Path) -> None:
    with child(tmp_path, 'print("one"); print("two")') as running:
        start = time.monotonic()
        assert not running.wait_for('three', 60)
        assert time.monotonic() - start < 30
        assert running.last_lines(1) == 'two'


def test_waiting_for_words_ends_with_an_error(tmp_path: Path) -> None:
    with child(tmp_path, 'import time\nprint("[ERROR] no fuel"); time.sleep(60)') as running:
        start = time.monotonic()
        assert not running.wait_for('started', 60)
        assert time.monotonic() - start < 30


def test_usage_is_what_the_program_used(tmp_path: Path) -> None:
    """300 MB are filled and released again: the peak stays; a second of work is a second of processor time."""
    script = (
        'import time\ndata = bytearray(300_000_000); data[::4096] = bytes(len(data[::4096])); del data\n'
        'while time.process_time() < 1: pass\nprint("done"); time.sleep(60)'
    )
    with child(tmp_path, script) as running:
        assert running.wait_for('done', 60)
        usage = running.usage()
    assert 286 < usage.peak_megabytes < 400
    assert usage.cpu_seconds == pytest.approx(1.0, abs=0.3)
    with pytest.raises(ProcessLookupError):
        running.usage()


def test_no_orphan_when_this_process_is_killed(tmp_path: Path) -> None:
    script = (
        'import sys\nfrom pathlib import Path\nfrom ldfusion_training.demo.processes import Child\n'
        f'child = Child("x", [sys.executable, "-c", "import time; print(1); time.sleep(60)"], '
        f'Path({str(tmp_path / "log")!r}), {{}})\n'
        'assert child.wait_for("1", 20)\nprint(child._process.pid, flush=True)\nchild.wait(60)'
    )
    parent = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_executables_are_found_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / 'some_tool'
    tool.write_text('#!/bin/sh\n')
    tool.chmod(0o755)
    monkeypatch.setattr(sys, 'argv', [str(tmp_path / 'ldfusion')])
    assert find_executable('some_tool') == tool
    monkeypatch.setenv('PATH', os.defpath)
    with pytest.raises(InputError, match='no_such_tool'):
        find_executable('no_such_tool')
