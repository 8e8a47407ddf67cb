"""The documentation is true: links lead somewhere, generated parts are what the code says, commands work."""

import ast
import importlib
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import domains
import pytest
from paths import ROOT

from ldfusion_training.cli import COMMANDS as COMMAND_MODULES
from ldfusion_training.cli import main, parse

PAGES = [
    *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'models/weights/README.md')),
    *sorted((ROOT / 'docs').glob('*.md')),
]
LARGEST_PICTURE = 150_000
# Where a command that is not run here is run, or why it can't be.
NOT_RUN_HERE = {
    'ldfusion fuse': 'needs images: test_cli.py',
    'ldfusion calibrate': 'test_calibrate.py',
    'ldfusion depth': 'needs images: test_cli.py',
    'ldfusion demo': 'test_demo.py',
    'ldfusion project-scans': 'needs laser scans: test_lidar.py',
    'ldfusion caption': 'needs images: test_guidance_node.py',
    'ldfusion simulate': 'takes long: test_simulation_files.py',
    'ldfusion evaluate': 'needs images or recordings: test_evaluate_fusion.py, test_depth_metrics.py, test_flicker.py, '
    'test_evaluate_bag.py',
    'ldfusion reproduce': 'needs data sets: test_reproduce.py, test_claims.py',
    'ldfusion burst': 'test_burst.py',
    'ldfusion train': 'takes hours: test_training.py trains each stage for some steps; the recipes are read here',
    'ldfusion weights': 'takes days: test_weights_chain.py makes two steps of everything',
    'sh burst.sh': 'test_burst.py',
    'tar': 'test_burst.py',
    'ldfusion release': 'needs a training run: test_release.py',
    'ldfusion models': 'needs a network: test_fetch.py',
    'ldfusion benchmark': 'test_benchmark.py',
    'ldfusion export': 'test_export.py; with TensorRT for RTX test_tensorrt_rtx.py',
    'accelerate launch': 'needs several GPUs: test_training.py runs two processes',
    'torchrun': 'needs several machines: test_training.py runs two processes',
    'ros2 launch': 'needs a ROS distribution: test_launch.py',
    'ros2 run': 'needs a ROS distribution: test_install.py starts the executables',
    'ros2 topic': 'needs a ROS distribution',
    'ros2 param': 'needs a ROS distribution',
    'ros2 service': 'needs a ROS distribution',
    'ros2 security': 'needs sros2',
    'make': 'continuous integration',
    'python -m bench.': 'test_soak.py',
    'pip install': 'installation',
    'apt install': 'installation',
    'rosdep': 'needs a ROS distribution',
    'colcon': 'test_install.py',
    'source': 'installation',
    'tensorboard': 'for looking',
    'sudo nvpmodel': 'needs a Jetson',
}
MAKE_VARIABLES = {'BAG', 'VISIBLE', 'THERMAL', 'OUT', 'PYTHON', 'ROS'}


@dataclass(frozen=True)
class Command:
    """A line of a code block; ``run_here`` if its block is marked ``sh test``."""

    page: Path
    words: tuple[str, ...]
    run_here: bool

    def __str__(self) -> str:
        return f'{self.page.relative_to(ROOT)}: {" ".join(self.words)}'

    @property
    def line(self) -> str:
        return ' '.join(self.words)


def commands_of(page: Path) -> Iterator[Command]:
    """Lines of fenced and of indented code blocks that begin with a program this project tells people to start."""
    starts = {reason.split()[0] for reason in NOT_RUN_HERE}
    fence: str | None = None
    text = re.sub(r' *\\\n\s*', ' ', page.read_text())
    for line in text.splitlines():
        if line.lstrip().startswith('```'):
            fence = line.strip('` ') if fence is None else None
        elif (fence is not None and not fence.startswith(('mermaid', 'yaml'))) or line.startswith('    '):
            words = tuple(shlex.split(line, comments=True)) if "'" not in line or line.count("'") % 2 == 0 else ()
            if words and (words[0] in starts or (fence is not None and fence.startswith('sh'))):
                yield Command(page, words, fence == 'sh test')


COMMANDS = [command for page in PAGES for command in commands_of(page)]


def arguments_of_ldfusion(command: Command) -> list[str] | None:
    """What follows ``ldfusion``, also behind a launcher or ``ros2 run``; None if it is another program."""
    places = [index for index, word in enumerate(command.words) if Path(word).name == 'ldfusion']
    return list(command.words[places[0] + 1 :]) if places else None


def anchors_of(page: Path) -> set[str]:
    """Places on a page that a link can lead to."""
    return {slug(heading) for heading in re.findall(r'^#+ (.*)$', page.read_text(), re.MULTILINE)}


def slug(heading: str) -> str:
    """GitHub's anchor of a heading."""
    plain = re.sub(r'[`*]|\[([^\]]*)\]\([^)]*\)', lambda match: match[1] or '', heading)
    return re.sub(r'[^\w\- ]', '', plain.strip().lower()).replace(' ', '-')


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)
    broken = []
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if target.startswith(('http://', 'https://')):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        anchors = (
            {slug(heading) for heading in re.findall(r'^#+ (.*)$', file.read_text(), re.MULTILINE)} if anchor else ()
        )
        if not file.exists() or ROOT not in (file, *file.parents) or (anchor and anchor not in anchors):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / 'README.md']
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r'\]\(([^)\s#]+\.md)', page.read_text())
        waiting += [
            found for link in links if (found := (page.parent / link).resolve()) not in reached and found.exists()
        ]
    assert set(PAGES) - reached == set()


def test_pictures_are_small() -> None:
    pictures = [path for kind in ('png', 'jpg', 'svg') for path in (ROOT / 'docs').glob(f'*.{kind}')]
    assert pictures
    assert all(path.stat().st_size < LARGEST_PICTURE for path in pictures)


def test_commands_are_found(tmp_path: Path) -> None:
    """The search itself: fences, indented blocks, continued lines and comments; no pictures, no running text."""
    page = tmp_path / 'page.md'
    page.write_text(
        'Type make a\n\n    make b  # why\n    ldfusion c \\\n        --d\n\n```sh test\nldfusion e\n```\n'
        '```mermaid\nmake f\n```\n```sh\nunheard of\n```\n'
    )
    assert [command.line for command in commands_of(page)] == ['make b', 'ldfusion c --d', 'ldfusion e', 'unheard of']
    assert [command.run_here for command in commands_of(page)] == [False, False, True, False]
    assert sum(command.run_here for command in COMMANDS) >= 4


@pytest.mark.parametrize('command', COMMANDS, ids=str)
def test_a_command_is_run_here_or_elsewhere(command: Command) -> None:
    if not command.run_here:
        where = [reason for start, reason in NOT_RUN_HERE.items() if command.line.startswith(start)]
        assert where, 'mark its block with `sh test`, or say in NOT_RUN_HERE where it is run'
        named = re.findall(r'test_\w+\.py', ' '.join(where))
        assert all(any((ROOT / 'test').rglob(name)) for name in named)


@pytest.mark.parametrize('command', [c for c in COMMANDS if arguments_of_ldfusion(c)], ids=str)
def test_ldfusion_takes_the_arguments(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Read by the real parser; recipes are resolved, too."""
    words = arguments_of_ldfusion(command)
    assert words
    if '--help' in words:
        assert main(words) == 0
        return
    parse(words)
    if words[0] == 'train':
        dry = words if '--dry-run' in words else [*words, '--dry-run']
        assert main(dry) == 0, capsys.readouterr().err


def launch_arguments(name: str) -> set[str]:
    """Names of the arguments that a launch file declares, read without running it."""
    tree = ast.parse((ROOT / 'launch' / name).read_text())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return strings | (launch_arguments('ldfusion.launch.py') if name != 'ldfusion.launch.py' else set())


@pytest.mark.parametrize('command', [c for c in COMMANDS if c.words[:2] == ('ros2', 'launch')], ids=str)
def test_launch_files_take_the_arguments(command: Command) -> None:
    package, file, *given = command.words[2:]
    assert package == 'ldfusion_ros'
    assert {word.partition(':=')[0] for word in given} <= launch_arguments(file)


@pytest.mark.parametrize('command', [c for c in COMMANDS if c.words[0] == 'ros2'], ids=str)
def test_ros2_names_what_is_there(command: Command) -> None:
    """Executables, parameters and services exist."""
    if command.words[1] == 'run':
        setup = ConfigParser(interpolation=None)
        setup.read(ROOT / 'setup.cfg')
        program, *given = command.words[3:]
        assert f'\n{program} = ' in setup['options.entry_points']['console_scripts']
        if program in ('replay', 'record', 'live_view'):
            pytest.importorskip('rclpy', reason='needs ROS 2')
            importlib.import_module(f'ldfusion_ros.{program}').make_parser().parse_args(given)
    elif command.words[1] == 'param':
        pytest.importorskip('rclpy', reason='needs ROS 2')
        from ldfusion_models.rig.settings import meanings
        from ldfusion_ros.parameter_file import TABLES

        _, _, action, node, name, value = command.words
        default, _ = meanings(TABLES[node.strip('/')])[name]
        assert action == 'set'
        assert type(default) is str or type(default)(value) is not None
    elif command.words[1] == 'service':
        assert f'~/{command.words[3].rpartition("/")[2]}' in generator().MEANINGS


@pytest.mark.parametrize('command', [c for c in COMMANDS if c.words[0] == 'make'], ids=str)
def test_make_has_the_targets(command: Command) -> None:
    targets = re.findall(r'^(\w+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    for word in command.words[1:]:
        name, equals, _ = word.partition('=')
        assert name in (MAKE_VARIABLES if equals else targets)


@pytest.mark.skipif(not shutil.which('make'), reason='needs make')
@pytest.mark.parametrize(
    ('given', 'homes'),
    [([], ['.venv', '.venv-jazzy']), (['ROS=kilted'], ['.venv']), (['ROS=jazzy'], ['.venv-jazzy'])],
)
def test_make_test_runs_on_both_distributions_or_on_the_one_named(given: list[str], homes: list[str]) -> None:
    command = ['make', '--dry-run', '--always-make', 'test', *given]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r'^(?:ROS_DISTRO=\w+ )?(\S+)/bin/python -m pytest', shown, re.MULTILINE) == homes


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_named_in_the_text_exist(page: Path) -> None:
    """Not only in blocks: every `ldfusion COMMAND`, `python -m MODULE` and `python FILE` in code type."""
    text = page.read_text()
    known = {name.partition(' ')[0] for name in COMMAND_MODULES}
    assert {name for name in re.findall(r'`ldfusion ([a-z][\w-]+)', text) if name not in known} == set()
    files = re.findall(r'\bpython (\w[\w/]*\.py)', text)
    assert [name for name in files if not (ROOT / name).is_file()] == []
    modules = {name.replace('.', '/') for name in re.findall(r'\bpython -m ((?:ldfusion_ros|bench)[\w.]+)', text)}
    assert [name for name in modules if not (ROOT / f'{name}.py').is_file()] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_named_in_the_text_exist(page: Path) -> None:
    """Modules by the end of their path, all else below a folder of the checkout in full; CAPITALS stand for others."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith('.')]
    named = {name for name in re.findall(r'`([\w./-]+)`', page.read_text()) if not re.search('[A-Z]{2}', name)}
    paths = {
        name for name in named if name.endswith('.py') or name.startswith(tuple(f'{path.name}/' for path in folders))
    }
    files = [f'/{file}' for path in folders for file in path.rglob('*.py')]
    assert [p for p in paths if not (ROOT / p).exists() and not any(file.endswith(f'/{p}') for file in files)] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_marked_as_tests_run_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = [command for command in COMMANDS if command.page == page and command.run_here]
    if any('simulate' in command.words for command in here):
        pytest.importorskip('embreex', reason='needs the simulation: pip install .[simulation]')
    monkeypatch.chdir(tmp_path)
    for command in here:
        assert command.words[0] == 'ldfusion'
        assert main(command.words[1:]) == 0, f'{command.line}: {capsys.readouterr().err}'


def generator():  # type: ignore[no-untyped-def]
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location('generate', ROOT / 'docs' / 'generate.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_what_is_generated_is_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
    for name, value in {**domains.ENVIRONMENT, 'ROS_DOMAIN_ID': str(domains.own_domain())}.items():
        monkeypatch.setenv(name, value)
    generate = generator()
    for name in generate.FILES:
        text = (ROOT / name).read_text()
        assert generate.updated(text) == text, f'{name}: run make docs'


def test_everything_said_of_topics_is_about_a_topic_that_is_there() -> None:
    shown = ''.join((ROOT / name).read_text() for name in generator().FILES)
    assert [name for name in generator().MEANINGS if f'| `{name}` |' not in shown] == []


def test_every_complaint_names_a_test_that_is_there() -> None:
    tests = {
        name for file in (ROOT / 'test').rglob('test_*.py') for name in re.findall(r'def (test_\w+)', file.read_text())
    }
    rows = [line for line in (ROOT / 'docs/robustness.md').read_text().splitlines() if line.startswith('| ')][1:]
    named = [set(re.findall(r'`(test_\w+)`', row)) for row in rows]
    assert len(rows) > 20
    assert all(named)
    assert set().union(*named) - tests == set()
