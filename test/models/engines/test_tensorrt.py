"""What can be proved of the TensorRT engine without its library: its graph, its precision, its cache."""

import logging
from dataclasses import fields, replace
from pathlib import Path

import pytest

onnx = pytest.importorskip('onnx')

from ldfusion_models.engines import plan_cache  # noqa: E402
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402
from ldfusion_models.engines.plan_cache import PlanKey  # noqa: E402
from ldfusion_models.engines.proof import Deviation, Reference  # noqa: E402
from ldfusion_models.graph.export import complete_graph  # noqa: E402
from ldfusion_models.graph.mixed_precision import mixed_precision  # noqa: E402
from ldfusion_models.graph.static_graph import products_as_convolutions, static_graph  # noqa: E402

# Those of docs/operators.md of onnx-tensorrt for TensorRT 10.0 (opset 9 to 20) that are supported without a
# restriction, or with one that `test_restricted_operators_keep_to_the_rules` checks.
OPERATORS = """
    Abs Add And AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos
    CumSum DepthToSpace Div Equal Exp Expand Flatten Floor Gather Gemm GlobalAveragePool Greater HardSwish Identity
    LeakyRelu Less Log MatMul Max MaxPool Min Mod Mul Neg Not Or Pad Pow Reciprocal ReduceL2 ReduceMax ReduceMean
    ReduceSum Relu Reshape Resize Round Shape Sigmoid Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Tile Transpose
    Unsqueeze Where
"""
OPSETS = range(9, 21)
SIZE = (128, 96)
KEY = PlanKey('0' * 64, 'TensorRT 10.3.0', ('8.7',), 'Orin', 'mixed', '640x480')


@pytest.fixture(scope='module')
def contents() -> dict[str, bytes]:
    """The graph as TensorRT gets it, by precision."""
    full = products_as_convolutions(static_graph(complete_graph()[0], SIZE))
    return {'fp32': full, 'mixed': mixed_precision(full)}


@pytest.mark.parametrize('precision', ['fp32', 'mixed'])
def test_all_operators_are_supported(precision: str, contents: dict[str, bytes]) -> None:
    model = onnx.load_from_string(contents[precision])
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= set(OPERATORS.split())
    assert [entry.version in OPSETS for entry in model.opset_import if not entry.domain] == [True]


@pytest.mark.parametrize('precision', ['fp32', 'mixed'])
def test_restricted_operators_keep_to_the_rules(precision: str, contents: dict[str, bytes]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(contents[precision]))
    fixed = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        settings = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type in ('CumSum', 'Pad', 'Slice', 'Squeeze', 'Unsqueeze', 'ReduceL2', 'ReduceSum', 'Resize'):
            assert all(name in fixed for name in node.input[1:] if name), node.name
        if node.op_type == 'MaxPool':
            assert len(node.output) == 1 and set(settings.get('dilations', [1])) == {1}
        if node.op_type == 'Resize':
            assert settings['mode'] in (b'nearest', b'linear')
            assert settings['coordinate_transformation_mode'] in (b'half_pixel', b'asymmetric')
            assert settings.get('nearest_mode', b'floor') == b'floor'


@pytest.mark.parametrize('precision', ['fp32', 'mixed'])
def test_uint8_appears_at_the_border_only(precision: str, contents: dict[str, bytes]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(contents[precision]))
    uint8 = onnx.TensorProto.UINT8
    inside = {info.name for info in model.graph.value_info if info.type.tensor_type.elem_type == uint8}
    assert not inside
    border = {info.name for info in model.graph.input if info.type.tensor_type.elem_type == uint8}
    assert border == {'visible', 'thermal'}
    readers = [node.op_type for node in model.graph.node if border & set(node.input)]
    assert set(readers) == {'Cast'}


def test_mixed_precision_computes_features_and_fusion_in_16_bits_and_depth_in_32(contents: dict[str, bytes]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(contents['mixed']))
    types = {info.name: info.type.tensor_type.elem_type for info in model.graph.value_info}
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    for node in convolutions:
        is_half = node.name.startswith(('/student/', '/fusion/'))
        assert types[node.output[0]] == (onnx.TensorProto.FLOAT16 if is_half else onnx.TensorProto.FLOAT), node.name
    assert len({node.name.split('/')[1] for node in convolutions}) == 4


@pytest.mark.parametrize('size', [SIZE, (320, 256)])
def test_graphs_of_one_size_stay_within_the_tolerances(size: tuple[int, int]) -> None:
    """On a scene at its size, with a text: products as convolutions change nothing, 16 bits little."""
    import onnxruntime

    reference = Reference.compute(OnnxRuntimeEngine(), size)
    inputs = {'visible': reference.visible, 'thermal': reference.thermal, 'text': reference.text}
    full = products_as_convolutions(static_graph(complete_graph()[0], size))
    for content, is_near in ((full, Deviation(0, 1e-5, 1e-5)), (mixed_precision(full), Deviation(1, 0.005, 0.02))):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
        deviation = Deviation.of([(type(reference.expected)(*session.run(None, inputs)), reference.expected)])
        assert deviation.fused_p99_9 <= is_near.fused_p99_9
        assert deviation.depth_median <= is_near.depth_median
        assert deviation.depth_p99 <= is_near.depth_p99


def test_a_stored_engine_is_found_again_and_by_its_own_key_only(tmp_path: Path) -> None:
    plan_cache.store(tmp_path, KEY, b'engine')
    assert plan_cache.find(tmp_path, KEY) == b'engine'
    for item in fields(PlanKey):
        other = ('8.9',) if item.name == 'capabilities' else 'other'
        assert plan_cache.find(tmp_path, replace(KEY, **{item.name: other})) is None, item.name


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
    assert plan_cache.find(tmp_path, KEY) is None
    assert path.name in caplog.text


def test_what_only_saves_time_is_found_by_its_title_and_may_be_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan_cache.store_side(tmp_path, 'timings of Orin', b'fast')
    assert plan_cache.load_side(tmp_path, 'timings of Orin') == b'fast'
    assert plan_cache.load_side(tmp_path, 'timings of Thor') is None
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert plan_cache.load_side(tmp_path, 'timings of Orin') is None
    with caplog.at_level(logging.WARNING):
        plan_cache.store_side(path / 'no folder', 'timings of Orin', b'fast')
    assert 'made anew at every start' in caplog.text


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert plan_cache.default_folder() == tmp_path / 'ldfusion_ros' / 'tensorrt'
