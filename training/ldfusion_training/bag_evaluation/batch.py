"""Many recordings: one after the other, in several processes, or on a Ray cluster."""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.engines import Engine, EngineFailedError, create_engine
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_training.bag_evaluation.run import evaluate_recording
from ldfusion_training.bag_evaluation.settings import BagSettings
from ldfusion_training.bag_evaluation.summary import RECORDINGS

LOCAL = 'local'


@dataclass(frozen=True)
class Task:
    """One recording and the folder for its results; ``threads`` of the engine, 0 for its own choice."""

    bag: Path
    folder: Path
    settings: BagSettings
    threads: int


@dataclass(frozen=True)
class Batch:
    """How many recordings are evaluated at a time, and where.

    Attributes:
        workers: processes.
        ray: address of a Ray cluster, ``local`` for one on this machine; None: no Ray.
    """

    workers: int = 1
    ray: str | None = None


def evaluate_all(bags: Sequence[Path], output: Path, settings: BagSettings, batch: Batch) -> dict[str, str]:
    """Evaluate recordings into ``output/recordings/NAME``.

    Returns:
        by the names of the recordings, in their order: why it could not be evaluated, empty if it was.

    Raises:
        InputError: Ray can't be reached, or the engine can't be made.
    """
    parallel = min(batch.workers, len(bags)) if batch.ray is None else batch.workers
    threads = settings.node.threads or (0 if parallel == 1 else max(1, _processors() // parallel))
    names = distinct_names(bags)
    tasks = [Task(bag, output / RECORDINGS / name, settings, threads) for bag, name in zip(bags, names, strict=True)]
    if batch.ray is not None:
        results = dict(_in_ray(tasks, batch))
    elif parallel > 1:
        results = dict(_in_processes(tasks, parallel))
    else:
        results = {index: _with_bar(task) for index, task in enumerate(tasks)}
    return {name: results[index] for index, name in enumerate(names)}


def distinct_names(bags: Sequence[Path]) -> list[str]:
    """A name for each recording: its file or folder without ending; numbered where two are equal."""
    names: list[str] = []
    for bag in bags:
        base = name = bag.resolve().name.removesuffix('.mcap').removesuffix('.db3')
        number = 1
        while name in names:
            number += 1
            name = f'{base}_{number}'
        names.append(name)
    return names


def evaluate_task(task: Task, progress: Callable[[int, int], object] | None = None) -> str:
    """Evaluate one recording; returns why it could not be, empty if it was."""
    try:
        engine = _engine(task.settings.node, task.threads)
        evaluate_recording(task.bag, task.folder, engine, task.settings, progress)
    except (InputError, EngineFailedError) as error:
        return str(error)
    return ''


@lru_cache(maxsize=1)
def _engine(node: NodeSettings, threads: int) -> Engine:
    return create_engine(node.engine, node.weights_folder, threads, node.precision)


def _with_bar(task: Task) -> str:
    with tqdm(desc=task.folder.name, unit='pair', disable=None) as bar:

        def show(done: int, expected: int) -> None:
            bar.total = max(expected, done)
            bar.update(done - bar.n)

        return evaluate_task(task, show)


def _in_processes(tasks: Sequence[Task], workers: int) -> Iterator[tuple[int, str]]:
    # Started anew: a copy of this process would share the engine's threads.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_on_ctrl_c) as pool:
        futures = {pool.submit(evaluate_task, task): index for index, task in enumerate(tasks)}
        for future in tqdm(as_completed(futures), total=len(futures), unit='recording', disable=None):
            yield futures[future], future.result()


def _in_ray(tasks: Sequence[Task], batch: Batch) -> Iterator[tuple[int, str]]:
    # Ray gives its own processes 30 s to start, which a busy machine does not keep.
    os.environ.setdefault('RAY_raylet_start_wait_time_s', '180')
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(f'--ray needs Ray: {how_to_install("cluster")}') from error
    try:
        address = None if batch.ray == LOCAL else batch.ray
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f'--ray {batch.ray}: {error}') from error
    try:
        remote = ray.remote(num_cpus=max(1, tasks[0].threads))(evaluate_task)
        waiting = {remote.remote(task): index for index, task in enumerate(tasks)}
        with tqdm(total=len(waiting), unit='recording', disable=None) as bar:
            while waiting:
                (done, *_), _ = ray.wait(list(waiting))
                yield waiting.pop(done), ray.get(done)
                bar.update()
    finally:
        ray.shutdown()


def _end_on_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _processors() -> int:
    return len(os.sched_getaffinity(0))
