"""ONNX Runtime with buffers on its device, here on the CPU; on CUDA where there is a GPU."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip('onnx')

from ldfusion_models.engines import EngineFailedError, create_engine
from ldfusion_models.engines.built_engine import BuiltEngine
from ldfusion_models.engines.onnxruntime_cuda import PROVIDER, Sessions, in_words
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
from ldfusion_models.engines.proof import Reference
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import export_onnx

has_provider = PROVIDER in onnxruntime.get_available_providers()


@pytest.mark.parametrize('precision', ['fp32', 'mixed'])
def test_frames_of_any_size_give_what_onnxruntime_gives(precision: str) -> None:
    plain = OnnxRuntimeEngine()
    engine = BuiltEngine(Sessions(None, precision, 'cpu'), plain, lambda size: Reference.compute(plain, size))
    for size in ((160, 120), (70, 50)):
        reference = Reference.compute(plain, size)
        assert reference.deviation(engine).is_tolerable
        assert (engine.name, engine.precision) == ('onnxruntime-cuda', precision)
        kept = engine.run(reference.visible, reference.thermal, reference.text).fused
        copy = kept.copy()
        engine.run(255 - reference.visible, reference.thermal, reference.text)
        np.testing.assert_array_equal(kept, copy, err_msg='a frame is not written over by the next')


def test_a_graph_for_another_size_is_named(tmp_path: Path) -> None:
    export_onnx(tmp_path / 'small.onnx', size=(64, 48))
    with pytest.raises(InputError, match='64x48 only'):
        Sessions(tmp_path / 'small.onnx', device='cpu').load((96, 64))


def test_what_fails_on_the_device_is_an_engine_that_failed() -> None:
    session = Sessions(None, 'fp32', 'cpu').load((64, 48))
    with pytest.raises(EngineFailedError):
        session.run(np.zeros((1, 9, 9, 3), np.uint8), np.zeros((1, 9, 9, 1), np.uint8), np.zeros((1, 64), np.float32))


def test_errors_of_the_device_are_said_without_the_place_in_the_source() -> None:
    """As onnxruntime-gpu 1.31 raised it on a machine without a driver."""
    raised = (
        '/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 CudaCall(ERRTYPE) [with ERRTYPE = '
        'cudaError] CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ;\n'
    )
    expected = 'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version'
    assert in_words(RuntimeError(raised)) == expected
    assert in_words(RuntimeError('out of memory\nmore')) == 'out of memory'


@pytest.mark.skipif(has_provider, reason='this ONNX Runtime has CUDA')
def test_without_cuda_in_onnxruntime_it_says_what_to_install() -> None:
    with pytest.raises(InputError, match='install onnxruntime-gpu in place of onnxruntime'):
        create_engine('onnxruntime-cuda')


@pytest.mark.skipif(not has_provider, reason='this ONNX Runtime has no CUDA')
def test_on_cuda_it_gives_what_onnxruntime_gives_or_says_why_it_cannot() -> None:
    try:
        engine = create_engine('onnxruntime-cuda')
    except InputError as error:
        assert "engine 'onnxruntime-cuda' cannot run here: " in str(error)
        pytest.skip(str(error))
    assert Reference.compute(OnnxRuntimeEngine(), (128, 96)).deviation(engine).is_tolerable
    assert engine.name == 'onnxruntime-cuda', engine.reason
