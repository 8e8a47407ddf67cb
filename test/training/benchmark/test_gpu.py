"""``ldfusion benchmark --gpu``, the same way on the CPU with tiny images."""

import json

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('onnx')

from ldfusion_training.benchmark.gpu import GpuConfig, benchmark_gpu, summary  # noqa: E402
from ldfusion_training.benchmark.peers import PEERS  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402


def test_what_is_there_is_timed_and_the_rest_says_why_not() -> None:
    engines = ('torch', 'onnxruntime', 'onnxruntime-cuda')
    config = GpuConfig(((48, 32), (64, 48)), runs=1, engines=engines, device='cpu')
    result = benchmark_gpu(config)
    json.dumps(result)
    times = result['milliseconds']
    assert set(times) == {*engines, *PEERS}
    assert len(PEERS) == 3
    for name in ('torch', 'onnxruntime', *PEERS):
        assert set(times[name]) == {'48x32', '64x48'}
        assert all(0 < time['p50'] <= time['p95'] for time in times[name].values())
    assert result['proofs']['onnxruntime'].startswith('ONNX Runtime')
    words = summary(result)
    for name in ('torch 48x32: p50', 'DenseFuse 64x48: p50', 'TensorRT for RTX, library: '):
        assert name in words
    if not times['onnxruntime-cuda']:
        assert "'onnxruntime-cuda' cannot run here" in result['proofs']['onnxruntime-cuda']


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['benchmark', '--gpu']) == 2
    assert 'PyTorch finds no CUDA device' in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
def test_with_a_gpu_it_takes_less_than_five_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    result = benchmark_gpu(GpuConfig())
    print(summary(result))
    assert result['seconds'] < 300
    assert result['milliseconds']['torch']['640x480']['p50'] < 20
