"""What can be proved of the TensorRT engine without a GPU: its graph, its precision, its cache."""

from dataclasses import fields, replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

onnx = pytest.importorskip('onnx')

from ldfusion_models.engines import EngineFailedError, plan_cache  # noqa: E402
from ldfusion_models.engines.plan_cache import PlanKey  # noqa: E402
from ldfusion_models.graph.export import complete_graph  # noqa: E402
from ldfusion_models.graph.mixed_precision import mixed_precision  # noqa: E402
from ldfusion_models.graph.quantisation import calibrate, quantised  # noqa: E402
from ldfusion_models.graph.static_graph import static_graph  # noqa: E402

# Those of docs/operators.md of onnx-tensorrt for TensorRT 10.0 (opset 9 to 20) that are supported without a
# restriction, or with one that `test_restricted_operators_keep_to_the_rules` checks.
OPERATORS = """
    Abs Add And AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos
    CumSum DepthToSpace DequantizeLinear Div Equal Exp Expand Flatten Floor Gather Gemm GlobalAveragePool Greater
    HardSwish Identity LeakyRelu Less Log MatMul Max Min Mod Mul Neg Not Or Pad Pow QuantizeLinear Reciprocal ReduceMax
    ReduceMean ReduceSum Relu Reshape Resize Round Shape Sigmoid Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Tile
    Transpose Unsqueeze Where
"""
OPSETS = range(9, 21)
SIZE = (128, 96)
KEY = PlanKey('0' * 64, '10.3.0', 'Orin', '8.7', 'mixed', '640x480')


def blocks(seed: int) -> dict[str, npt.NDArray[Any]]:
    """Inputs of the frame graph: squares of random colours."""
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (1, 12, 16, 4), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    return {'visible': image[..., :3], 'thermal': image[..., 3:], 'text': np.zeros((1, 64), np.float32)}


@pytest.fixture(scope='module')
def contents() -> dict[str, bytes]:
    """The graph as TensorRT gets it, by precision."""
    whole = complete_graph()[0]
    full = static_graph(whole, SIZE)
    calibrated = quantised(whole, calibrate(whole, [blocks(seed) for seed in range(3)]))
    return {'fp32': full, 'mixed': mixed_precision(full), 'int8': mixed_precision(static_graph(calibrated, SIZE))}


@pytest.mark.parametrize('precision', ['fp32', 'mixed', 'int8'])
def test_all_operators_are_supported(precision: str, contents: dict[str, bytes]) -> None:
    model = onnx.load_from_string(contents[precision])
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= set(OPERATORS.split())
    assert [entry.version in OPSETS for entry in model.opset_import if not entry.domain] == [True]


@pytest.mark.parametrize('precision', ['fp32', 'mixed', 'int8'])
def test_restricted_operators_keep_to_the_rules(precision: str, contents: dict[str, bytes]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(contents[precision]))
    fixed = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        settings = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type in ('CumSum', 'Pad', 'Slice', 'Squeeze', 'Unsqueeze', 'ReduceSum', 'Resize'):
            assert all(name in fixed for name in node.input[1:] if name), node.name
        if node.op_type == 'Resize':
            assert settings['mode'] in (b'nearest', b'linear')
            assert settings['coordinate_transformation_mode'] in (b'half_pixel', b'asymmetric')
            assert settings.get('nearest_mode', b'floor') == b'floor'


@pytest.mark.parametrize('precision', ['fp32', 'mixed', 'int8'])
def test_uint8_appears_at_the_border_only(precision: str, contents: dict[str, bytes]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(contents[precision]))
    uint8 = onnx.TensorProto.UINT8
    inside = {info.name for info in model.graph.value_info if info.type.tensor_type.elem_type == uint8}
    assert not inside
    border = {info.name for info in model.graph.input if info.type.tensor_type.elem_type == uint8}
    assert border == {'visible', 'thermal'}
    readers = [node.op_type for node in model.graph.node if border & set(node.input)]
    assert set(readers) == {'Cast'}


def test_mixed_precision_computes_fusion_in_16_bits_and_depth_in_32(contents: dict[str, bytes]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(contents['mixed']))
    types = {info.name: info.type.tensor_type.elem_type for info in model.graph.value_info}
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    for node in convolutions:
        is_half = node.name.startswith(('/extractor/', '/fusion/'))
        assert types[node.output[0]] == (onnx.TensorProto.FLOAT16 if is_half else onnx.TensorProto.FLOAT), node.name
    assert len({node.name.split('/')[1] for node in convolutions}) == 4


def test_mixed_precision_stays_within_the_tolerances(contents: dict[str, bytes]) -> None:
    import onnxruntime

    inputs = blocks(5)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    full, mixed = (
        onnxruntime.InferenceSession(contents[name], options, providers=['CPUExecutionProvider']).run(None, inputs)
        for name in ('fp32', 'mixed')
    )
    assert np.percentile(np.abs(full[0].astype(int) - mixed[0]), 99.9) <= 1
    relative = np.abs(mixed[1] / full[1] - 1)
    assert np.median(relative) < 0.005
    assert np.percentile(relative, 99) < 0.02


def test_quantisation_is_explicit_and_as_tensorrt_wants_it(contents: dict[str, bytes]) -> None:
    """Symmetric, constant scales; int8 only between a pair of nodes; convolutions read dequantised float16."""
    model = onnx.load_from_string(contents['int8'])
    fixed = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in ('QuantizeLinear', 'DequantizeLinear'):
            _, scale, zero = node.input
            assert fixed[scale].dtype == np.float16
            assert fixed[scale].min() > 0
            assert fixed[zero].dtype == np.int8
            assert not fixed[zero].any()
    found = 0
    for node in model.graph.node:
        sources = [makers[name].op_type for name in node.input[:2] if name in makers]
        if node.op_type == 'Conv' and 'DequantizeLinear' in sources:
            assert sources == ['DequantizeLinear'] * 2
            assert node.name.startswith(('/extractor/', '/fusion/'))
            levels = fixed[makers[node.input[1]].input[0]]
            assert levels.dtype == np.int8
            assert min(levels.shape[:2]) >= 16
            found += 1
    assert found > 20


def test_quantised_weights_are_off_by_no_more_than_half_a_level() -> None:
    whole = complete_graph()[0]
    before, after = (
        {item.name: onnx.numpy_helper.to_array(item) for item in onnx.load_from_string(content).graph.initializer}
        for content in (whole, quantised(whole, calibrate(whole, [blocks(0)])))
    )
    names = [name.removesuffix('/levels') for name in after if name.endswith('/levels')]
    assert names
    for name in names:
        scales = after[f'{name}/scales'][:, None, None, None]
        assert (np.abs(after[f'{name}/levels'] * scales - before[name]) <= 0.501 * scales).all()
        assert name not in after, 'the float weights are gone'


def test_weights_that_two_convolutions_share_are_quantised_once() -> None:
    """As those of the denoiser, where features are taken at several timesteps."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(0)
    weights = numpy_helper.from_array(generator.normal(size=(16, 16, 3, 3)).astype(np.float32), 'w')
    names = 'x', 'y', 'z'
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 16, 8, 8)) for name in names]
    nodes = [
        helper.make_node('Conv', [source, 'w'], [target], f'/extractor/{target}', pads=[1] * 4)
        for source, target in pairwise(names)
    ]
    graph = helper.make_graph(nodes, 'twice', infos[:1], infos[1:], [weights])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8).SerializeToString()
    inputs = {'x': generator.normal(size=(1, 16, 8, 8)).astype(np.float32)}
    eight_bits = quantised(content, calibrate(content, [inputs]))
    results = [
        onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider']).run(['z'], inputs)[0]
        for model in (content, eight_bits)
    ]
    assert 0 < np.abs(results[1] - results[0]).std() < 0.03 * results[0].std()
    assert sum(item.name.endswith('/levels') for item in onnx.load_from_string(eight_bits).graph.initializer) == 1


def test_calibration_finds_the_largest_magnitudes() -> None:
    """Against the graph as it was traced, nothing optimized."""
    import onnxruntime

    whole = complete_graph()[0]
    frames = [blocks(0), blocks(1)]
    peaks = calibrate(whole, frames)
    assert calibrate(whole, frames[:1]) != peaks
    name = min(peaks)
    model = onnx.load_from_string(whole)
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    expected = max(np.abs(session.run([name], frame)[0]).max() for frame in frames)
    assert peaks[name] == pytest.approx(expected, rel=1e-4)


def test_a_stored_engine_is_found_again_and_by_its_own_key_only(tmp_path: Path) -> None:
    plan_cache.store(tmp_path, KEY, b'engine')
    assert plan_cache.load(tmp_path, KEY) == b'engine'
    for item in fields(PlanKey):
        assert plan_cache.load(tmp_path, replace(KEY, **{item.name: 'other'})) is None, item.name


def test_timings_are_shared_by_graphs_and_sizes_on_one_gpu() -> None:
    assert KEY.for_timings() == replace(KEY, graph='1' * 64, size='320x256').for_timings()
    assert KEY.for_timings() != replace(KEY, gpu='Thor').for_timings()
    assert KEY.for_timings() != replace(KEY, tensorrt='10.4.0').for_timings()


@pytest.mark.parametrize('damage', ['truncated', 'flipped', 'foreign', 'empty', 'another key'])
def test_damaged_and_foreign_files_are_refused(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = plan_cache.store(tmp_path, KEY, b'engine' * 100)
    content = path.read_bytes()
    if damage == 'truncated':
        path.write_bytes(content[:-1])
    elif damage == 'flipped':
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == 'foreign':
        path.write_bytes(b'engine' * 100)
    elif damage == 'empty':
        path.write_bytes(b'')
    else:
        plan_cache.store(tmp_path, replace(KEY, gpu='Thor'), b'engine').replace(path)
    assert plan_cache.load(tmp_path, KEY) is None
    assert path.name in caplog.text


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert plan_cache.default_folder() == tmp_path / 'ldfusion_ros' / 'tensorrt'


def test_cuda_errors_are_engine_failures() -> None:
    if not find_spec('cuda'):
        pytest.skip('the package cuda-bindings is not installed')
    from ldfusion_models.engines.cuda_buffers import Gpu

    try:
        assert '.' in Gpu.current().compute_capability
    except EngineFailedError as error:
        assert str(error).startswith('CUDA: cudaError')


def test_tensorrt_gives_what_onnxruntime_gives(tmp_path: Path) -> None:
    trt = pytest.importorskip('tensorrt', reason='TensorRT is not installed')
    if not hasattr(trt, 'Builder'):
        pytest.skip('TensorRT is not installed, its type stubs are')
    from ldfusion_models.engines import create_engine
    from ldfusion_models.engines.built_engine import BuiltEngine
    from ldfusion_models.engines.tensorrt_engine import Plans

    reference = create_engine('onnxruntime')
    try:
        plans = Plans(None, 'fp32', tmp_path)
        plans.build((128, 96), print)
    except EngineFailedError as error:
        pytest.skip(f'no GPU: {error}')
    image = np.random.default_rng(1).integers(0, 256, (1, 96, 128, 3), np.uint8)
    inputs = image, image[..., :1].copy(), np.zeros((1, 64), np.float32)
    engine = BuiltEngine(plans, reference)
    ours, expected = engine.run(*inputs), reference.run(*inputs)
    assert engine.name == 'tensorrt'
    assert np.percentile(np.abs(ours.fused.astype(int) - expected.fused), 99.9) <= 1
    assert np.median(np.abs(ours.depth / expected.depth - 1)) < 0.005
