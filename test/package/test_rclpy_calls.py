"""Every call of rclpy has been looked up in Humble's, which no test here can run."""

import ast
import re

import pytest
from paths import ROOT

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from rclpy.executors import SingleThreadedExecutor
from rclpy.guard_condition import GuardCondition
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher


def test_every_call_of_rclpy_is_in_the_list() -> None:
    methods = {
        name for kind in (LifecycleNode, Publisher, GuardCondition, SingleThreadedExecutor) for name in dir(kind)
    }
    used: set[str] = set()
    for file in (ROOT / 'ldfusion_ros').rglob('*.py'):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('rclpy'):
                used |= {name.name for name in node.names}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_module = isinstance(node.func.value, ast.Name) and node.func.value.id == 'rclpy'
                if is_module or node.func.attr in methods - {'__init__', 'destroy'}:
                    used.add(node.func.attr)
    listed = set(re.findall(r'`(\w+)', (ROOT / 'docs/humble.md').read_text()))
    assert {'LifecycleNode', 'create_timer', 'spin_once'} <= used
    assert used - listed == set()
