"""Imports go down only, and the floors start without what they don't need."""

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT

FLOORS = {
    'ldfusion_ros': 'ldfusion_ros',
    'ldfusion_training': 'training/ldfusion_training',
    'ldfusion_models': 'models/ldfusion_models',
}
MODULES_IN_A_FOLDER = 14
LINES_OF_A_FUNCTION = 60
ROS = {'rclpy', 'sensor_msgs', 'std_msgs', 'std_srvs', 'geometry_msgs', 'diagnostic_msgs', 'lifecycle_msgs', 'launch',
       'launch_ros', 'ament_index_python', 'cv_bridge', 'rosbag2_py', 'tf2_ros'}  # fmt: skip
FORBIDDEN = {
    'ldfusion_models': ROS | {'ldfusion_ros', 'ldfusion_training', 'rosbags'},
    'ldfusion_training': ROS | {'ldfusion_ros'},
    'ldfusion_ros': {'ldfusion_training'},
}
HEAVY = ('torch', 'transformers', 'open_clip', 'tensorrt', 'openvino', 'trimesh', 'scipy', 'matplotlib')


def imported_modules(source: Path) -> Iterator[str]:
    """Full names of all that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{source}: relative import'
            yield node.module or ''


def modules_loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that a new interpreter holds after ``statement``, which may print."""
    script = f'import sys; {statement}; print(); print(*{{name.partition(".")[0] for name in sys.modules}})'
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize('floor', FLOORS)
def test_imports_go_down_only(floor: str) -> None:
    sources = list((ROOT / FLOORS[floor]).rglob('*.py'))
    assert sources
    wrong = [
        f'{source.relative_to(ROOT)} imports {name}'
        for source in sources
        for name in imported_modules(source)
        if name.partition('.')[0] in FORBIDDEN[floor]
    ]
    assert wrong == []


def modules() -> dict[str, Path]:
    """All modules of this project under the names by which they are imported."""
    found = {}
    for name, folder in FLOORS.items():
        for source in (ROOT / folder).rglob('*.py'):
            parts = [name, *source.relative_to(ROOT / folder).with_suffix('').parts]
            found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = source
    return found


def own_imports(source: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules among ``known`` that a file imports; ``from package import name`` may name a module."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in known)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                inner = f'{node.module}.{name.name}'
                if inner in known or node.module in known:
                    yield inner if inner in known else str(node.module)


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Nodes that lead back to the first of them; empty if there is no circle."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_of_modules() -> None:
    known = modules()
    graph = {name: set(own_imports(source, known)) - {name} for name, source in known.items()}
    assert sum(map(len, graph.values())) > 500
    assert circle_in(graph) == []


def test_no_circle_of_folders() -> None:
    known = modules()
    graph: dict[str, set[str]] = {}
    for source in known.values():
        below = {str(known[name].parent) for name in own_imports(source, known)} - {str(source.parent)}
        graph.setdefault(str(source.parent), set()).update(below)
    assert circle_in(graph) == []


def test_circles_are_found() -> None:
    assert circle_in({'a': {'b'}, 'b': {'c'}, 'c': set()}) == []
    assert set(circle_in({'a': {'b'}, 'b': {'c'}, 'c': {'b'}})) == {'b', 'c'}


def test_folders_can_be_surveyed() -> None:
    counts = Counter(source.parent for source in modules().values() if source.name != '__init__.py')
    assert {str(folder): count for folder, count in counts.items() if count > MODULES_IN_A_FOLDER} == {}


def long_functions(source: Path, most: int = LINES_OF_A_FUNCTION) -> list[str]:
    """Functions of a file that have more lines, their signature included."""
    functions = (node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.FunctionDef))
    return [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= most]


def test_functions_can_be_surveyed() -> None:
    sources = [*modules().values(), *(ROOT / 'bench').glob('*.py')]
    assert {str(source): long for source in sources if (long := long_functions(source))} == {}


def test_long_functions_are_found(tmp_path: Path) -> None:
    source = tmp_path / 'module.py'
    source.write_text('def f(\n    a,\n):\n    def g():\n        pass\n\n    return g\n')
    assert (long_functions(source, 7), long_functions(source, 6)) == ([], ['f'])


def test_the_search_for_imports_finds_all_kinds(tmp_path: Path) -> None:
    source = tmp_path / 'module.py'
    source.write_text('import a.b, c\ndef f():\n    from d.e import g\n')
    assert sorted(imported_modules(source)) == ['a.b', 'c', 'd.e']


def test_the_node_starts_without_what_only_the_lab_needs() -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2')
    loaded = modules_loaded_by('import ldfusion_ros.fusion_node, ldfusion_models.engines.onnxruntime_engine')
    assert 'rclpy' in loaded
    assert loaded.isdisjoint({*HEAVY, 'ldfusion_training', 'rosbags'})


def test_language_needs_no_more_than_the_fusion() -> None:
    loaded = modules_loaded_by(
        'import numpy; from ldfusion_models.language.guidance import PairCaptioner, embedding_of_captions; '
        'from ldfusion_models.language.text import load_text_encoder; image = numpy.zeros((64, 96), numpy.uint8); '
        'assert embedding_of_captions(load_text_encoder(), PairCaptioner.load()(image, image)).shape == (64,)'
    )
    assert 'onnxruntime' in loaded
    assert loaded.isdisjoint({*HEAVY, 'ldfusion_training', 'rosbags'})


def test_help_is_quick() -> None:
    """That of no command needs what a command needs to run."""
    loaded = modules_loaded_by(
        'from ldfusion_training.cli import COMMANDS, main; '
        'assert not any(main([*name.split(), "--help"]) for name in COMMANDS)'
    )
    assert 'cyclopts' in loaded
    assert loaded.isdisjoint({*HEAVY, 'rclpy', 'numpy', 'cv2', 'onnxruntime', 'yaml', 'tqdm', 'rosbags'})


def test_a_command_starts_without_packages_that_others_need() -> None:
    loaded = modules_loaded_by('from ldfusion_training.cli import function_of; function_of("fuse")')
    assert 'onnxruntime' in loaded or 'cv2' in loaded
    assert loaded.isdisjoint({*HEAVY, 'rclpy'})
