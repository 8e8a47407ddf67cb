"""OpenVINO on the CPU: the frames of ONNX Runtime, at any size."""

import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('onnx')

from ldfusion_models.engines import create_engine
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
from ldfusion_models.engines.proof import Reference
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import export_onnx

needs_openvino = pytest.mark.skipif(find_spec('openvino') is None, reason='OpenVINO is not installed')


@needs_openvino
@pytest.mark.parametrize('is_exported', [True, False], ids=['exported file', 'folder of weights'])
def test_frames_of_any_size_give_what_onnxruntime_gives(is_exported: bool, tmp_path: Path) -> None:
    weights = tmp_path / 'graph.onnx' if is_exported else None
    if weights:
        export_onnx(weights)
    engine = create_engine('openvino', weights, threads=1)
    for size in ((147, 101),) if is_exported else ((96, 64), (147, 101)):
        reference = Reference.compute(OnnxRuntimeEngine(threads=1), size)
        assert reference.deviation(engine).is_tolerable
        assert (engine.name, engine.device, engine.precision) == ('openvino', 'cpu', 'fp32'), engine.reason
        kept = engine.run(reference.visible, reference.thermal, reference.text)
        copies = kept.fused.copy(), kept.depth.copy()
        engine.run(255 - reference.visible, reference.thermal, reference.text)
        np.testing.assert_array_equal(kept.fused, copies[0], err_msg='a frame is not written over by the next')
        np.testing.assert_array_equal(kept.depth, copies[1])


@needs_openvino
def test_stages_are_those_of_its_own_layers() -> None:
    from ldfusion_models.engines.openvino_engine import OpenVinoEngine

    engine, reference = OpenVinoEngine(threads=1), Reference.read(None)
    times = engine.stage_times(reference.visible, reference.thermal, reference.text)
    assert set(times) == {'features', 'fusion', 'depth', 'images and layouts'}
    # Nearly all that is computed belongs to a network, also where layers were merged.
    assert min(times.values()) > 0
    assert times['images and layouts'] < 0.3 * sum(times.values())


@needs_openvino
def test_ctrl_c_reaches_a_program_that_has_exchanged_engines() -> None:
    script = (
        'import os, signal, time\nfrom ldfusion_models.engines import create_engine\n'
        "first = create_engine('openvino', None, 1)\nsecond = create_engine('openvino', None, 1)\ndel first, second\n"
        'os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGINT, done.stderr
    assert done.stderr.rstrip().endswith('KeyboardInterrupt')


def test_precisions_that_it_lacks_are_named() -> None:
    with pytest.raises(InputError, match='engine openvino has auto, fp32'):
        create_engine('openvino', precision='mixed')


@pytest.mark.skipif(find_spec('openvino') is not None, reason='OpenVINO is installed')
def test_without_openvino_it_says_what_to_install() -> None:
    with pytest.raises(InputError, match=r"package openvino is not installed; pip install -e '\.\[openvino\]'"):
        create_engine('openvino')
