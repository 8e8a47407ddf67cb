"""Brings what is generated in the documentation up to date: ``make docs``.

Between ``<!-- generated: NAME -->`` and ``<!-- end -->`` of a Markdown file stands what the code says: commands from
the real parser, parameters from their tables, topics and services from the nodes themselves, which are started for it.
config/ldfusion.yaml is written along.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ldfusion_training.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
FILES = ('docs/parameters.md', 'docs/commands.md', 'docs/node.md', 'docs/training.md')
MARKED = re.compile(r'(<!-- generated: (?P<name>\S+) -->\n).*?(<!-- end -->)', re.DOTALL)
# Of every node; not worth a line each.
STANDARD_TYPES = ('rcl_interfaces/', 'lifecycle_msgs/', 'type_description_interfaces/')
START_SECONDS = 120.0

# What nodes tell of their topics and services in words; all else comes from the nodes.
MEANINGS: Mapping[str, str] = {
    'visible/image_raw': 'rgb, bgr, mono of 8 or 16 bits, Bayer, YUV 4:2:2, NV12; CompressedImage on `…/compressed` '
    'with `visible_transport`',
    'visible/camera_info': 'intrinsics, for metric depth and the cloud',
    'thermal/image_raw': 'mono8, counts (mono16, 16UC1, 16SC1), temperatures (32FC1), false colours; CompressedImage '
    'as above with `thermal_transport`',
    'thermal/camera_info': 'intrinsics, for registration',
    'ranges/points': "measured points that correct depth, such as a lidar's; through `registration_file` or TF, or in "
    'the frame of the camera',
    'ranges/scan': 'the same from a planar laser',
    'ranges/range': 'the same from sonars, each with a frame of its own',
    '~/scene': 'what the captions say, as fields (JSON, [schema](node.md#guidance_node)); latched',
    '~/text_embedding': 'what the fusion is to favour, latched; its label names the encoder',
    '~/caption': 'what guidance is based on: both captions, or the prompt; latched',
    '~/prompt': 'what matters, in English, until an empty one comes: then captions again',
    '~/fused/image': 'the fused image, rgb8, with stamp and frame of the visible image',
    '~/fused/camera_info': 'intrinsics of it',
    '~/fused/image/compressed': 'the same as JPEG, made only if somebody listens',
    '~/depth/image': '32FC1, metres, NaN unknown; or 16UC1, millimetres, 0 unknown (REP 118)',
    '~/depth/camera_info': 'intrinsics of it',
    '~/depth/confidence': '32FC1, 0 to 1: how sure the network is, made only if somebody listens',
    '~/points': 'x y z rgb thermal; organised',
    '/diagnostics': 'rates, drops by cause, latency, engine; what to do about a problem',
    '~/save_snapshot': 'writes the last frame, in and out, with all parameters into `snapshot_folder`',
    '~/switch_engine': 'loads what the parameters marked (switch) now say, and changes over',
}


def commands() -> str:
    """The commands of ``ldfusion``, with those below them."""
    rows = [f'| `ldfusion {name}` | {text} |' for name, (_, text) in COMMANDS.items()]
    return '\n'.join(['| command | does |', '|---|---|', *rows])


def chain() -> str:
    """From nothing to every shipped file: commands, steps and hours."""
    from ldfusion_training.commands.train import RECIPES, read_recipe
    from ldfusion_training.runs.chain import CHAIN

    lines = ['| | `ldfusion` | steps | hours |', '|---:|---|---:|---:|']
    for number, step in enumerate(CHAIN, start=1):
        steps = read_recipe(RECIPES / f'{step.recipe}.yaml')['trainer']['steps'] if step.recipe else ''
        words = f'{step.words} {step.whole}'.partition(' --fact')[0].rstrip()
        lines.append(f'| {number} | `{words}` | {steps} | {step.hours or ""} |')
    return '\n'.join([*lines, f'| | in all | | {sum(step.hours for step in CHAIN):.0f} |'])


def parameters() -> str:
    """The parameters of every node."""
    from ldfusion_models.rig.settings import meanings
    from ldfusion_ros.parameter_file import TABLES, sentence

    lines = []
    for node, table in TABLES.items():
        lines += [f'**{node}**', '', '| parameter | default | meaning |', '|---|---|---|']
        for name, (default, meaning) in meanings(table).items():
            lines.append(f'| `{name}` | `{default!r}` | {sentence(meaning)} |')
        lines.append('')
    return '\n'.join(lines).rstrip()


def topics() -> str:
    """Topics and services that the running nodes have."""
    lines = []
    with running_nodes() as nodes:
        wait_for_interfaces(nodes)
        for node in nodes:
            name = node.get_name()
            lines += [f'**{name}**', '', '| name | | type | |', '|---|---|---|---|']
            for direction, found in interfaces(node):
                shown = shown_name(found[0], name)
                lines.append(f'| `{shown}` | {direction} | {found[1].rpartition("/")[2]} | {MEANINGS[shown]} |')
            lines.append('')
    return '\n'.join(lines).rstrip()


def shown_name(full: str, node: str) -> str:
    """A topic's or service's name as the code has it: relative, ``~/`` for the node's own, or absolute.

    Raises:
        KeyError: nothing says what it is for.
    """
    own = f'/{node}/'
    relative = f'~/{full.removeprefix(own)}' if full.startswith(own) else full.removeprefix('/')
    for name in (full, relative):
        if name in MEANINGS:
            return name
    raise KeyError(f'{relative} of {node}: say in docs/generate.py (MEANINGS) what it is for')


def interfaces(node: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    """``in``, ``out`` or ``service``, with full name and type, of all that is this node's own."""
    who = node.get_name(), node.get_namespace()
    asked: tuple[tuple[str, Callable[..., Any]], ...] = (
        ('in', node.get_subscriber_names_and_types_by_node),
        ('out', node.get_publisher_names_and_types_by_node),
        ('service', node.get_service_names_and_types_by_node),
    )
    for direction, ask in asked:
        for name, (kind, *_) in sorted(ask(*who)):
            if not kind.startswith(STANDARD_TYPES):
                yield direction, (name, kind)


def wait_for_interfaces(nodes: Sequence[Any]) -> None:
    """Until the nodes have all that ``MEANINGS`` tells of: an active node learns of its own topics one by one.

    Raises:
        RuntimeError: they never have.
    """
    end = time.monotonic() + START_SECONDS
    while missing := MEANINGS.keys() - {
        shown_name(found[0], n.get_name()) for n in nodes for _, found in interfaces(n)
    }:
        if time.monotonic() > end:
            raise RuntimeError(f'no node has {", ".join(sorted(missing))}')
        time.sleep(0.2)


@contextmanager
def running_nodes() -> Iterator[list[Any]]:
    """Every node of the package, active."""
    # Nothing leaves this machine.
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    import rclpy
    from lifecycle_msgs.msg import State
    from rclpy.executors import SingleThreadedExecutor

    from ldfusion_ros.fusion_node import FusionNode
    from ldfusion_ros.guidance_node import GuidanceNode

    context = rclpy.Context()
    rclpy.init(context=context)
    nodes: list[Any] = [FusionNode(context=context), GuidanceNode(context=context)]
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    active = threading.Event()

    def spin() -> None:
        while not all(node.state == State.PRIMARY_STATE_ACTIVE for node in nodes):
            executor.spin_once(timeout_sec=0.1)
        active.set()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        if not active.wait(START_SECONDS):
            raise RuntimeError('the nodes did not become active')
        yield list(nodes)
    finally:
        executor.shutdown()
        for node in nodes:
            node.destroy_node()
        rclpy.shutdown(context=context)


GENERATED: Mapping[str, Callable[[], str]] = {
    'commands': commands,
    'chain': chain,
    'parameters': parameters,
    'topics': topics,
}


def updated(text: str) -> str:
    """Markdown with everything between markers as it should be."""
    return MARKED.sub(lambda match: f'{match[1]}{GENERATED[match["name"]]()}\n{match[3]}', text)


def main() -> None:
    """Write what has changed."""
    from ldfusion_ros.parameter_file import parameter_file

    (ROOT / 'config' / 'ldfusion.yaml').write_text(parameter_file())
    for name in FILES:
        file = ROOT / name
        file.write_text(updated(file.read_text()))


if __name__ == '__main__':
    main()
