"""The package installs in all four ways; its executables start and find weights and configuration there."""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from paths import ROOT

from ldfusion_training.demo.processes import Child

LEFT_OUT = shutil.ignore_patterns(
    '.venv', '.venv-jazzy', '.git', 'out', 'runs', 'build', 'dist', '*.egg-info', '__pycache__', '.*_cache'
)
COMMANDS = ('ldfusion', 'replay', 'record', 'live_view')
NODES = ('fusion_node',)
SITE_PACKAGES = sysconfig.get_path('purelib')


@dataclass(frozen=True)
class Installation:
    """Where one installation put things, and the environment in which it runs."""

    executables: Path
    python: Path
    prefix: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run to the end, outside of the source tree."""
        environment = os.environ | self.environment
        return subprocess.run(command, cwd='/', env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, so that builds leave the checkout as it is."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp('source') / 'src' / 'ldfusion_ros', ignore=LEFT_OUT))


def installed_by_pip(source: Path, folder: Path, *options: str) -> Installation:
    """Into a virtual environment of its own that sees this one's packages, but not its installation of ours."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder], check=True)
    python = folder / 'bin' / 'python'
    (site_packages,) = folder.glob('lib/python3*/site-packages')
    (site_packages / 'packages.pth').write_text(SITE_PACKAGES)
    pip = [sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps', '--no-build-isolation']
    subprocess.run([*pip, '--ignore-installed', *options, source], check=True)
    return Installation(folder / 'bin', python, folder)


def installed_by_colcon(source: Path, folder: Path, *options: str) -> Installation:
    """Into a workspace; runs as after ``source install/setup.bash``."""
    bin_folder = Path(sys.executable).parent
    path = f'{bin_folder}{os.pathsep}{os.environ["PATH"]}'
    folder.mkdir()
    built = subprocess.run(
        [bin_folder / 'colcon', '--log-base', folder / 'log', 'build', '--base-paths', source, *options],
        cwd=folder, env=os.environ | {'PATH': path}, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    shell = f'source {folder}/install/setup.bash > /dev/null && env -0'
    sourced = subprocess.run(['bash', '-c', shell], env=os.environ | {'PATH': path}, capture_output=True, check=True)
    variables = dict(item.split('=', 1) for item in sourced.stdout.decode().split('\0') if item)
    prefix = folder / 'install' / 'ldfusion_ros'
    return Installation(prefix / 'lib' / 'ldfusion_ros', Path(sys.executable), prefix, variables)


INSTALLERS = {
    'pip install .': (installed_by_pip,),
    'pip install -e .': (installed_by_pip, '--editable'),
    'colcon build': (installed_by_colcon,),
    'colcon build --symlink-install': (installed_by_colcon, '--symlink-install'),
}


@pytest.fixture(scope='module', params=INSTALLERS)
def installation(
    request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """The package, installed in one of the four ways."""
    install, *options = INSTALLERS[request.param]
    if install is installed_by_colcon and not shutil.which('colcon', path=Path(sys.executable).parent):
        pytest.skip('needs colcon')
    return install(source, tmp_path_factory.mktemp('installation') / 'here', *options)


@pytest.mark.parametrize('command', COMMANDS)
def test_commands_start(installation: Installation, command: str) -> None:
    if command != 'ldfusion':
        pytest.importorskip('rclpy', reason='needs ROS 2')
    done = installation.run(installation.executables / command, '--help')
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().lstrip().startswith(f'usage: {command}')


@pytest.mark.parametrize('node', NODES)
def test_nodes_start_and_stop(installation: Installation, node: str, tmp_path: Path) -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2')
    environment = installation.environment | {'ROS_DOMAIN_ID': '87'}
    with Child(node, [installation.executables / node], tmp_path / 'log', environment) as running:
        assert running.wait_for('active', 60), running.last_lines()
        assert running.stop() == 0, running.last_lines()


def test_weights_come_along(installation: Installation, source: Path) -> None:
    shipped = sorted(path.name for path in (ROOT / 'models' / 'weights').iterdir())
    script = 'from ldfusion_models.graph.manifest import SHIPPED; print(SHIPPED)'
    done = installation.run(installation.python, '-c', script)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert ROOT not in folder.parents, 'the checkout was used instead of the installation'
    assert sorted(path.name for path in folder.iterdir()) == shipped
    assert shipped


def test_share_holds_launch_and_config(installation: Installation, request: pytest.FixtureRequest) -> None:
    if '-e' in request.node.name:
        pytest.skip('an editable installation by pip runs from the source tree')
    share = installation.prefix / 'share' / 'ldfusion_ros'
    for folder in ('launch', 'config', 'config/cameras', 'config/examples'):
        shipped = sorted(path.name for path in (ROOT / folder).iterdir() if path.is_file())
        assert shipped
        assert sorted(path.name for path in (share / folder).iterdir() if path.is_file()) == shipped
    assert (installation.prefix / 'share/ament_index/resource_index/packages/ldfusion_ros').exists()
