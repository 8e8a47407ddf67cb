"""Which engine runs, what is said when one can't, and what happens when a GPU fails."""

import _ctypes
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

from ldfusion_models.choices import EngineName
from ldfusion_models.engines import EngineFailedError, FrameOutput, create_engine
from ldfusion_models.engines.guarded_engine import GuardedEngine
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
from ldfusion_models.engines.selection import CANDIDATES, NO_DRIVER, build_ahead
from ldfusion_models.errors import InputError

IMAGE = np.full((1, 40, 50, 3), 90, np.uint8)
TEXT = np.zeros((1, 64), np.float32)


def test_auto_says_what_it_passed_over_and_why() -> None:
    engine = create_engine('auto')
    assert engine.run(IMAGE, IMAGE[..., :1], TEXT).fused.shape == IMAGE.shape
    assert engine.reason.startswith('best engine here')
    if engine.name == 'onnxruntime':
        for name in ('tensorrt', 'torch', 'onnxruntime-cuda'):
            assert f'no {name}: ' in engine.reason


def test_auto_loads_no_pytorch_where_no_driver_is() -> None:
    program = """
import sys
from ldfusion_models.engines import create_engine
print('torch' in sys.modules, create_engine('auto').reason, 'torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120, check=True)
    if NO_DRIVER not in done.stdout and find_spec('torch'):
        pytest.skip('there is a driver')
    assert done.stdout.startswith('False') and done.stdout.endswith('False\n')


def test_auto_takes_onnxruntime_where_nothing_else_is_and_says_what_to_install() -> None:
    program = """
import sys
sys.modules['torch'] = sys.modules['tensorrt'] = sys.modules['tensorrt_rtx'] = None
from ldfusion_models.engines import create_engine
from ldfusion_models.errors import InputError
engine = create_engine('auto')
print(engine.name, engine.reason)
for name in ('torch', 'tensorrt'):
    try:
        create_engine(name)
    except InputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120, check=True)
    chosen, torch, tensorrt = done.stdout.splitlines()
    assert chosen.startswith('onnxruntime best engine here')
    assert "pip install -e '.[torch]'" in chosen
    assert "'torch' cannot run here" in torch
    assert "pip install -e '.[torch]'" in torch
    assert 'JetPack' in tensorrt


def test_packages_that_do_not_load_are_passed_over_with_the_reason(tmp_path: Path) -> None:
    for package, error in (('torch', 'OSError'), ('tensorrt', 'ImportError')):
        (tmp_path / package).mkdir()
        (tmp_path / package / '__init__.py').write_text(f"raise {error}('libmissing.so.9: cannot open')")
    # Without a driver PyTorch would not be tried; any library that loads is one.
    shutil.copyfile(_ctypes.__file__, tmp_path / 'libcuda.so.1')
    program = """
from ldfusion_models.engines import create_engine
from ldfusion_models.errors import InputError
print(create_engine('auto').reason)
for name in ('torch', 'tensorrt'):
    try:
        create_engine(name)
    except InputError as error:
        print(error)
"""
    environment = os.environ | {
        'PYTHONPATH': os.pathsep.join((str(tmp_path), os.environ.get('PYTHONPATH', ''))),
        'LD_LIBRARY_PATH': str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    chosen, torch, tensorrt = done.stdout.splitlines()
    words = 'it is installed, but does not load (libmissing.so.9: cannot open)'
    assert chosen.startswith('best engine here')
    assert f'no torch: {words}' in chosen
    assert torch == f"engine 'torch' cannot run here: {words}"
    assert words in tensorrt or 'cuda.bindings is not installed' in tensorrt


@pytest.mark.skipif(find_spec('cuda') is None, reason='the package cuda-bindings is not installed')
def test_a_library_that_is_too_old_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    """TensorRT 8 as far as it is looked at."""
    (tmp_path / 'tensorrt').mkdir()
    logger = 'class ILogger:\n    class Severity:\n        INTERNAL_ERROR = 0\n'
    (tmp_path / 'tensorrt/__init__.py').write_text(f"__version__ = '8.6.1'\n{logger}")
    program = """
import sys
from ldfusion_models.engines import create_engine
from ldfusion_training.cli import main
print(create_engine('auto').reason)
sys.exit(main('export --engine tensorrt --compute-capability 8.7'.split()))
"""
    environment = os.environ | {'PYTHONPATH': os.pathsep.join((str(tmp_path), os.environ.get('PYTHONPATH', '')))}
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 2
    words = 'TensorRT 8.6.1 has no IProgressMonitor; install a newer one'
    assert f'no tensorrt: {words}' in done.stdout
    assert done.stderr.strip() == f'ldfusion: engine tensorrt: {words}'


@pytest.mark.skipif(any(map(find_spec, ('tensorrt', 'tensorrt_rtx'))), reason='TensorRT is installed')
def test_building_without_tensorrt_says_so() -> None:
    with pytest.raises(InputError, match='neither tensorrt nor tensorrt_rtx is installed'):
        build_ahead(None, 'auto', (640, 480), ('8.9',), None, print)


def test_every_engine_can_be_chosen() -> None:
    assert get_args(EngineName) == ('auto', *CANDIDATES)


def test_precisions_that_an_engine_has_not_are_named() -> None:
    with pytest.raises(InputError, match='fp32'):
        create_engine('onnxruntime', precision='mixed')


class OutOfMemory(OnnxRuntimeEngine):
    """Fails from the second frame on, as a GPU whose memory is used up."""

    name = 'torch'
    device = 'cuda'
    frames = 0

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        self.frames += 1
        if self.frames > 1:
            raise EngineFailedError('CUDA out of memory')
        return super().run(visible, thermal, text)


def test_a_gpu_that_fails_is_replaced_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    engine = GuardedEngine(OutOfMemory(), OnnxRuntimeEngine)
    before = engine.run(IMAGE, IMAGE[..., :1], TEXT)
    assert (engine.name, engine.device) == ('torch', 'cuda')
    after = engine.run(IMAGE, IMAGE[..., :1], TEXT)
    np.testing.assert_array_equal(before.fused, after.fused)
    assert (engine.name, engine.device) == ('onnxruntime', 'cpu')
    assert engine.reason == 'torch failed: CUDA out of memory'
    assert 'onnxruntime takes over' in caplog.text
