"""``ldfusion benchmark`` on a small image: its numbers agree with each other and with independent counts."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldfusion_models.engines import FrameOutput, create_engine
from ldfusion_models.engines.stages import stage_of
from ldfusion_models.files import write_image
from ldfusion_training.benchmark.agreement import measure_agreement
from ldfusion_training.benchmark.graph_profile import Layer, count_gflop
from ldfusion_training.benchmark.machine_rates import MachineRates
from ldfusion_training.cli import main


@pytest.mark.parametrize('engine', ['onnxruntime', 'torch'])
def test_numbers_are_consistent(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(engine)
    file = tmp_path / 'result.json'
    arguments = f'benchmark --engine {engine} --size 96x64 --runs 4 --threads 1 --layers 3 --json {file}'.split()
    assert main(arguments) == 0
    assert engine in capsys.readouterr().out
    result = json.loads(file.read_text())
    assert (result['engine'], result['width'], result['height'], result['runs']) == (engine, 96, 64, 4)
    latency, line, stages = result['latency'], result['roofline'], result['stages']
    assert 0 < latency['p50'] <= latency['p95'] <= latency['p99']
    assert result['frames_per_s'] == pytest.approx(1e3 / latency['mean'])
    assert line['floor'] == max(line['arithmetic'], line['traffic']) > 0
    assert line['times_floor'] == pytest.approx(latency['p50'] / line['floor'])
    assert set(stages) - {'transfers'} == {'features', 'fusion', 'depth', 'images and layouts'}
    assert all(time > 0 for time in stages.values())
    assert ('transfers' in stages) == (engine != 'onnxruntime'), 'ONNX Runtime reads and writes where the arrays are'
    first, second, third = result['layers']
    assert first['milliseconds'] >= second['milliseconds'] >= third['milliseconds'] > 0
    assert all('Conv' not in layer['operator'] or layer['gflop_per_s'] > 0 for layer in result['layers'])
    assert result['peak_memory_mib'] > 10
    assert result['load_s'] > 0


def test_weights_and_engines_are_compared_in_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('openvino')
    pytest.importorskip('onnx')
    graph, file = tmp_path / 'graph.onnx', tmp_path / 'result.json'
    assert main(['export', '--output', str(graph)]) == 0
    words = ['benchmark', '--engine', 'onnxruntime', 'openvino', '--weights', str(graph), 'paper']
    assert main([*words, '--size', '96x64', '--runs', '3', '--threads', '1', '--json', str(file)]) == 0
    printed = capsys.readouterr().out
    contenders = json.loads(file.read_text())['contenders']
    assert [(each['engine'], each['weights']) for each in contenders] == [
        (engine, weights) for engine in ('onnxruntime', 'openvino') for weights in (str(graph), 'paper')
    ]
    student, paper = (create_engine('onnxruntime', folder).info.weights_id for folder in (None, Path('paper')))
    assert student != paper
    assert [each['weights_id'] for each in contenders] == [student, paper, student, paper]
    for each in contenders:
        assert each['weights'] in printed
        assert 0 < each['latency']['p50'] <= each['latency']['p95']
        assert each['relative_latency'] == each['latency']['p50'] / contenders[0]['latency']['p50']
        assert each['relative_processor'] == each['processor'] / contenders[0]['processor'] > 0


def test_stages_of_pytorch_fill_the_frame() -> None:
    pytest.importorskip('torch')
    from ldfusion_models.engines.torch_engine import TorchEngine

    engine = TorchEngine()
    image = np.zeros((1, 64, 96, 3), np.uint8)
    inputs = image, image[..., :1].copy(), np.zeros((1, 64), np.float32)
    engine.stage_times(*inputs)
    start = time.perf_counter()
    stages = engine.stage_times(*inputs)
    whole = (time.perf_counter() - start) * 1e3
    assert 0.5 * whole < sum(stages.values()) <= whole
    np.testing.assert_array_equal(engine.run(*inputs).fused, create_engine('torch').run(*inputs).fused)


@pytest.mark.parametrize(
    ('layer', 'stage'),
    [
        ('/extractor/stem/Conv', 'features'),
        ('/student/stem/Conv', 'features'),
        ('/fusion/mix.0/Conv + PWN(/fusion/Relu)', 'fusion'),
        ('{ForeignNode[/visible_depth/encoder/Conv.../thermal_depth/Exp]}', 'depth'),
        ('Reformatting CopyNode for Input Tensor 0 to /thermal_depth/Conv', 'depth'),
        ('/Cast', 'images and layouts'),
        ('/diffusion/fusion', 'images and layouts'),
    ],
)
def test_layers_belong_to_stages_by_their_names(layer: str, stage: str) -> None:
    assert stage_of(layer) == stage


def test_operations_and_parameters_are_those_that_pytorch_counts() -> None:
    torch = pytest.importorskip('torch')
    from torch.utils.flop_counter import FlopCounterMode

    from ldfusion_models.graph.manifest import is_in_graph, load_frame_graph
    from ldfusion_training.benchmark.latency import count_parameters

    graph, _ = load_frame_graph()
    visible = np.zeros((1, 64, 128, 3), np.uint8)
    inputs = {'visible': visible, 'thermal': visible[..., :1].copy(), 'text': np.zeros((1, 64), np.float32)}
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        graph(*(torch.from_numpy(array) for array in inputs.values()))
    assert count_gflop(None, inputs) == pytest.approx(counter.get_total_flops() / 1e9, rel=1e-3)
    expected = sum(tensor.numel() for name, tensor in graph.named_parameters() if is_in_graph(name))
    expected += sum(tensor.numel() for name, tensor in graph.named_buffers() if 'running' in name)
    assert count_parameters(None) == expected


def test_peers_cost_what_was_published_for_them_and_are_timed_too(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch')
    from torch.utils.flop_counter import FlopCounterMode

    from ldfusion_training.benchmark.peers import PEERS

    image = torch.zeros((1, 1, 48, 64))
    for name, gflop_at_640x480 in {'DenseFuse': 54, 'SeAFusion': 102}.items():
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            assert PEERS[name]()(image, image).shape == image.shape
        assert counter.get_total_flops() * 100 / 1e9 == pytest.approx(gflop_at_640x480, abs=0.6)
    assert sum(tensor.numel() for tensor in PEERS['IFCNN']().parameters()) == pytest.approx(83_600, abs=100)
    file = tmp_path / 'result.json'
    assert main(f'benchmark --engine onnxruntime --size 64x48 --runs 1 --peers --json {file}'.split()) == 0
    peers = json.loads(file.read_text())['peers_p50']
    assert set(peers) == set(PEERS)
    assert all(time > 0 for time in peers.values())


class Off:
    """ONNX Runtime's results with a known error."""

    def __init__(self, levels: int, scale: float) -> None:
        self._engine = create_engine('onnxruntime')
        self._levels, self._scale = levels, scale

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, **inputs: Any) -> FrameOutput:
        output = self._engine.run(**inputs)
        shifted = np.clip(output.fused.astype(int) + self._levels, 0, 255).astype(np.uint8)
        return FrameOutput(shifted, output.depth * np.float32(self._scale), output.uncertainty)


def test_agreement_measures_a_known_error(tmp_path: Path) -> None:
    visible, thermal = tmp_path / 'visible.png', tmp_path / 'thermal.png'
    generator = np.random.default_rng(0)
    write_image(visible, generator.integers(60, 190, (48, 64, 3), np.uint8))
    write_image(thermal, generator.integers(60, 190, (48, 64), np.uint8))
    measured = measure_agreement(Off(3, 1.01), visible, thermal)
    assert measured.fused_p99_9 == 3
    assert measured.depth_median == pytest.approx(0.01, abs=1e-4)
    assert measured.depth_p99 == pytest.approx(0.01, abs=1e-4)
    assert not measured.is_tolerable
    assert measure_agreement(Off(1, 1.001), visible, thermal).is_tolerable
    assert not measure_agreement(Off(0, np.nan), visible, thermal).is_tolerable, 'depth that is no number'


def test_the_floor_is_the_slower_of_arithmetic_and_memory() -> None:
    from ldfusion_training.benchmark.latency import roofline

    layers = [
        Layer('a', 'Conv', 'fusion', 1.0, flop=2_000_000_000, bytes=1),
        Layer('b', 'Add', 'depth', 1.0, flop=0, bytes=3_000_000_000),
    ]
    line = roofline(layers, MachineRates(gflop_per_s=100.0, gb_per_s=10.0, method=''), latency=600.0)
    assert line['arithmetic'] == pytest.approx(20.0)
    assert line['traffic'] == pytest.approx(300.0)
    assert line['floor'] == pytest.approx(300.0)
    assert line['times_floor'] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ('--size 20x64', '20x64'),
        ('--weights a b --layers 3', '--layers'),
        ('--runs 0', '--runs'),
        ('--layers -1', '--layers'),
        ('--threads -1', '--threads'),
    ],
)
def test_bad_options_are_named(options: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['benchmark', *options.split()]) == 2
    assert named in capsys.readouterr().err
