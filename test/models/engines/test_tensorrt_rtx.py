"""TensorRT for RTX itself: it parses and builds without a GPU. What needs one skips with a reason."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from limits import largest_file

onnx = pytest.importorskip('onnx')
pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')

from ldfusion_models.engines import EngineFailedError, create_engine, plan_cache  # noqa: E402
from ldfusion_models.engines.cuda_buffers import Gpu, NoGpuError  # noqa: E402
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402
from ldfusion_models.engines.plan_cache import PlanKey  # noqa: E402
from ldfusion_models.engines.proof import Reference  # noqa: E402
from ldfusion_models.engines.tensorrt_engine import (  # noqa: E402
    PlanRefusedError,
    Plans,
    Recipe,
    build_plan,
    deserialize,
)
from ldfusion_models.engines.tensorrt_library import load_library  # noqa: E402
from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.graph.export import complete_graph  # noqa: E402
from ldfusion_models.graph.mixed_precision import mixed_precision  # noqa: E402
from ldfusion_models.graph.static_graph import products_as_convolutions, static_graph  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402

pytestmark = pytest.mark.skipif(find_spec('tensorrt') is not None, reason='TensorRT is installed too, and comes first')
SIZE = (128, 96)
# What TensorRT for RTX 1.7 lists.
CAPABILITIES = ('7.5', '8.0', '8.6', '8.9', '12.0', '12.1')


def has_gpu() -> bool:
    try:
        return bool(Gpu.current())
    except NoGpuError:
        return False


no_gpu = pytest.mark.skipif(has_gpu(), reason='there is a GPU')


@pytest.fixture(scope='module')
def contents() -> dict[str, bytes]:
    """The graph as TensorRT gets it, by precision."""
    full = products_as_convolutions(static_graph(complete_graph()[0], SIZE))
    return {'fp32': full, 'mixed': mixed_precision(full)}


def test_it_lists_the_capabilities_that_the_docs_name() -> None:
    assert load_library().capabilities == CAPABILITIES
    assert load_library().title.startswith('TensorRT for RTX 1.')


@pytest.mark.parametrize('precision', ['fp32', 'mixed'])
def test_names_shapes_and_types_are_those_of_the_graph(precision: str, contents: dict[str, bytes]) -> None:
    library = load_library()
    builder = library.api.Builder(library.logger)
    network = builder.create_network(library.network_flags())
    parser = library.api.OnnxParser(network, library.logger)
    assert parser.parse(contents[precision])
    graph = onnx.load_from_string(contents[precision]).graph
    kinds = {library.api.uint8: onnx.TensorProto.UINT8, library.api.float32: onnx.TensorProto.FLOAT}
    for count, tensor, infos in (
        (network.num_inputs, network.get_input, graph.input),
        (network.num_outputs, network.get_output, graph.output),
    ):
        found = [(t.name, tuple(t.shape), kinds[t.dtype]) for t in map(tensor, range(count))]
        assert found == [
            (info.name, tuple(dim.dim_value for dim in kind.shape.dim), kind.elem_type)
            for info in infos
            for kind in [info.type.tensor_type]
        ]
    half = [layer for layer in map(network.get_layer, range(network.num_layers)) if '/fusion/' in layer.name]
    is_half = {layer.get_output(0).dtype == library.api.float16 for layer in half if layer.name.endswith('/Conv')}
    assert is_half == {precision == 'mixed'}


@pytest.mark.parametrize('precision', ['fp32', 'mixed'])
def test_all_capabilities_are_built_for_at_once(precision: str, contents: dict[str, bytes], tmp_path: Path) -> None:
    assert len(build(contents[precision], CAPABILITIES, tmp_path)) > 20_000_000


def test_turing_is_why_products_are_convolutions(tmp_path: Path) -> None:
    content = static_graph(complete_graph()[0], SIZE)
    with pytest.raises(EngineFailedError, match=r'cannot build the engine: .*FP32 GEMM is not supported'):
        build(content, ('7.5',), tmp_path)


def test_an_operator_that_it_does_not_know_is_named_in_its_own_words(
    contents: dict[str, bytes], tmp_path: Path
) -> None:
    model = onnx.load_from_string(contents['fp32'])
    node = next(node for node in model.graph.node if node.op_type == 'Round')
    node.op_type = 'Det'
    with pytest.raises(EngineFailedError, match=rf'cannot read the graph: .*{node.name}.*Det.*UNSUPPORTED_NODE'):
        build(model.SerializeToString(), ('8.9',), tmp_path)
    with pytest.raises(EngineFailedError, match=r'cannot read the graph: .'):
        build(b'no graph', ('8.9',), tmp_path)


@no_gpu
def test_an_engine_is_not_loaded_without_a_gpu_and_the_library_says_why(exported: Path) -> None:
    library = load_library()
    runtime = library.api.Runtime(library.logger)
    plan = plan_cache.find(exported.parent, wanted('8.9'))
    assert plan
    with pytest.raises(PlanRefusedError, match=r'does not load the engine: .*CUDA driver'):
        deserialize(library, runtime, plan)
    with pytest.raises(PlanRefusedError, match='incompatible serialization'):
        deserialize(library, runtime, b'no engine' * 100)


@no_gpu
def test_without_a_gpu_the_next_best_engine_serves_and_says_why() -> None:
    engine = create_engine('auto')
    assert engine.device == 'cpu'
    assert 'no tensorrt: no usable GPU (CUDA: ' in engine.reason
    with pytest.raises(InputError, match="engine 'tensorrt' cannot run here: no usable GPU"):
        create_engine('tensorrt')


def build(content: bytes, capabilities: tuple[str, ...], folder: Path) -> bytes:
    progress: list[str] = []
    plan = build_plan(load_library(), content, capabilities, folder, progress.append)
    assert progress[-1].endswith('%')
    return plan


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('plans')
    assert main(export(folder, '8.9', '12.0')) == 0
    (path,) = folder.iterdir()
    return path


def test_the_file_says_what_it_is_for_and_is_found_there_only(exported: Path) -> None:
    library = 'TensorRT-for-RTX-1.'
    assert exported.name.startswith(f'64x48-mixed-cc8.9+12.0-{library}')
    for capability in ('8.9', '12.0'):
        assert plan_cache.find(exported.parent, wanted(capability))
    assert plan_cache.find(exported.parent, wanted('8.6')) is None


def test_a_foreign_engine_is_refused_with_the_reason(exported: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = wanted('8.9')
    for foreign, words in (
        (wanted('8.6'), 'built for compute capability 8.9, 12.0, this GPU has 8.6'),
        (replace(key, library='TensorRT for RTX 1.5'), 'built by TensorRT for RTX 1.7'),
        (replace(key, graph='0' * 64), 'built of other weights'),
        (replace(key, size='640x480'), 'built for images of 64x48'),
        (replace(key, precision='fp32'), 'built in precision mixed'),
    ):
        caplog.clear()
        assert plan_cache.find(exported.parent, foreign) is None
        assert f'{exported.name}: {words}' in caplog.text
        assert len(caplog.records) == 1


def test_a_damaged_engine_is_built_anew(exported: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = exported.read_bytes()
    exported.write_bytes(content[:-1000] + bytes(1000))
    assert plan_cache.find(exported.parent, wanted('8.9')) is None
    assert f'{exported.name}: damaged' in caplog.text
    assert main(export(exported.parent, '8.9', '12.0')) == 0
    assert plan_cache.find(exported.parent, wanted('8.9'))


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After the whole build, for the oldest capability alone."""
    with largest_file(30_000_000):
        assert main(export(tmp_path / 'plans', CAPABILITIES[0])) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert '.plan: cannot write there (' in line
    assert not list((tmp_path / 'plans').iterdir())


def test_a_build_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    program = 'import sys; from ldfusion_training.cli import main; sys.exit(main(sys.argv[1:]))'
    command = [sys.executable, '-c', program, *export(tmp_path / 'plans', '8.9')]
    running = subprocess.Popen(command, env=os.environ | {'PYTHONUNBUFFERED': '1'}, stdout=subprocess.PIPE)
    assert running.stdout
    assert b'%' in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    assert running.wait(60) != 0
    assert not list(tmp_path.rglob('*'))


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (['--compute-capability', '8.7'], 'compute capability 8.7: TensorRT for RTX 1.'),
        (['--compute-capability', '8.9', 'new'], 'compute capability new: TensorRT for RTX 1.'),
        (['--compute-capability', '8.9', '--output', 'a.plan'], 'a.plan: give a folder'),
        (['--compute-capability', '8.9', '--weights', 'absent'], 'absent/manifest.yaml: no such file'),
        pytest.param([], "name the robot's with --compute-capability", marks=no_gpu),
    ],
)
def test_what_cannot_be_is_named_in_one_line(
    options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['export', '--engine', 'tensorrt', *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert named in line


def export(folder: Path, *capabilities: str) -> list[str]:
    target = ['--engine', 'tensorrt', '--size', '64x48', '--output', str(folder)]
    return ['export', *target, '--compute-capability', *capabilities]


def wanted(capability: str) -> PlanKey:
    return Recipe(None).key((64, 48), (capability,))


@no_gpu
def test_cuda_errors_are_in_words() -> None:
    with pytest.raises(NoGpuError, match=r'no usable GPU \(CUDA: .* .*, cudaError\w+\)'):
        Gpu.current()


@pytest.mark.skipif(not has_gpu(), reason='there is no GPU')
@pytest.mark.parametrize('precision', ['fp32', 'mixed'])
def test_tensorrt_gives_what_onnxruntime_gives(precision: str, tmp_path: Path) -> None:
    try:
        plans = Plans(None, precision, tmp_path)
    except EngineFailedError as error:
        pytest.skip(str(error))
    reference = Reference.compute(OnnxRuntimeEngine(), SIZE)
    start = time.perf_counter()
    assert reference.deviation(plans.build(SIZE, print)).is_tolerable
    built = time.perf_counter()
    assert reference.deviation(plans.load(SIZE)).is_tolerable
    assert time.perf_counter() - built < built - start, 'kernels and engine are kept'
    stages = plans.load(SIZE).stage_times(reference.visible, reference.thermal, reference.text)
    assert min(stages.values()) > 0
