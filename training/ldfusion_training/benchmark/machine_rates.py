"""How fast this machine multiplies and moves numbers: the two lines of a roofline."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

MATRIX = 1536
COPIED_MIB = 128
REPETITIONS = 7


@dataclass(frozen=True)
class MachineRates:
    """Best of several runs.

    Attributes:
        gflop_per_s: of a product of large matrices, 2 per multiply-add.
        gb_per_s: of a copy far larger than the caches; read and written bytes both count.
        method: what was measured.
    """

    gflop_per_s: float
    gb_per_s: float
    method: str


def measure_cpu(threads: int) -> MachineRates:
    """NumPy on ``threads`` threads (0: all), in a process of its own, for its thread pool can't be resized."""
    threads = threads or len(os.sched_getaffinity(0))
    pools = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), str(threads))
    command = [sys.executable, '-m', 'ldfusion_training.benchmark.machine_rates', str(threads)]
    done = subprocess.run(command, env=os.environ | pools, capture_output=True, text=True, check=True)
    return MachineRates(**json.loads(done.stdout))


def measure_cuda() -> MachineRates | None:
    """PyTorch on the current CUDA device, float16; None where it is not installed, as on a robot with TensorRT."""
    try:
        import torch
    except ImportError:
        return None

    a = torch.randn((8192, 8192), dtype=torch.float16, device='cuda')
    target = torch.empty_like(a)

    def timed(work: Callable[[], object]) -> float:
        work()
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    multiply = min(timed(lambda: torch.matmul(a, a, out=target)) for _ in range(REPETITIONS))
    copy = min(timed(lambda: target.copy_(a)) for _ in range(REPETITIONS))
    method = 'PyTorch, float16: product of 8192x8192 matrices; copy on the device'
    return MachineRates(2 * 8192**3 / multiply / 1e9, 2 * a.nbytes / copy / 1e9, method)


def _measure_here(threads: int) -> MachineRates:
    generator = np.random.default_rng(0)
    a = generator.random((MATRIX, MATRIX), np.float32)
    product = np.empty_like(a)
    multiply = _best_time(lambda: np.matmul(a, a, out=product))
    source = np.ones((threads, (COPIED_MIB << 18) // threads), np.float32)
    target = np.empty_like(source)
    with ThreadPoolExecutor(threads) as pool:
        copy = _best_time(lambda: list(pool.map(np.copyto, target, source)))
    method = f'NumPy, float32, {threads} threads: product of {MATRIX}x{MATRIX} matrices; copy of {COPIED_MIB} MiB'
    return MachineRates(2 * MATRIX**3 / multiply / 1e9, 2 * source.nbytes / copy / 1e9, method)


def _best_time(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == '__main__':
    print(json.dumps(asdict(_measure_here(int(sys.argv[1])))))
