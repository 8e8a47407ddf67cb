"""Other programs run beside this one: started, watched, measured, and never left behind (Linux)."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from ldfusion_models.errors import InputError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
POLL_SECONDS = 0.05
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Usage:
    """What a process has used since it started: processor time, and memory at its highest."""

    cpu_seconds: float
    peak_megabytes: float


class Child:
    """One running program; its output goes to a log file. Use it as a context manager: the end stops it.

    It also ends if this process is killed.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.log = name, log
        with log.open('wb') as output, _ctrl_c_held_back() as interrupted:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, 'PYTHONUNBUFFERED': '1'},
                # Its own session: Ctrl-C is for this process, which then stops the others in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        if interrupted:
            self.stop()
            raise KeyboardInterrupt

    def __enter__(self) -> 'Child':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_for(self, words: str, seconds: float, unless: str = '[ERROR]') -> bool:
        """Wait until its output holds ``words``; False if before it ends, says ``unless``, or the time is over."""
        end = time.monotonic() + seconds
        while True:
            running, said = self.is_running, self.log.read_text(errors='replace')
            if words in said:
                return True
            if not running or unless in said or time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None if it still runs after ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds: float = 10.0) -> int:
        """Ask it to end, ever more firmly, waiting ``seconds`` each time; returns its exit code."""
        for number in SIGNALS:
            if not self.is_running:
                break
            self._process.send_signal(number)
            self.wait(seconds)
        return self._process.wait()

    def usage(self) -> Usage:
        """What it has used until now.

        Raises:
            ProcessLookupError: it has ended.
        """
        try:
            times = psutil.Process(self._process.pid).cpu_times()
            # The kernel's high-water mark; psutil only knows what is used now.
            lines = Path(f'/proc/{self._process.pid}/status').read_text().splitlines()
            status = dict(line.split(':', 1) for line in lines)
            return Usage(times.user + times.system, int(status['VmHWM'].split()[0]) / 1024)
        except (psutil.NoSuchProcess, FileNotFoundError, KeyError) as error:
            raise ProcessLookupError(self.name) from error

    def last_lines(self, count: int = 10) -> str:
        """The end of its output."""
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-count:])


def find_executable(name: str) -> Path:
    """An executable of this package: beside the running command or interpreter, or on the PATH.

    Raises:
        InputError: it is not there.
    """
    beside = [str(Path(program).parent) for program in (sys.argv[0], sys.executable)]
    found = shutil.which(name, path=os.pathsep.join([*beside, os.environ.get('PATH', os.defpath)]))
    if found is None:
        raise InputError(f'{name}: no such executable; install ldfusion_ros with pip or colcon')
    return Path(found)


@contextmanager
def _ctrl_c_held_back() -> Iterator[list[int]]:
    """Collect Ctrl-C meanwhile: raised while a program starts, it would leave one that nobody knows of."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        # Python raises it in the main thread only.
        yield came
        return
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
