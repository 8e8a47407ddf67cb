"""ROS domains that nobody else on this machine uses at the same time."""

import os
from contextlib import ExitStack

from ldfusion_training.demo.domain import free_domain

_held = ExitStack()


def own_domain() -> int:
    """A domain that stays this process's until it ends."""
    return _held.enter_context(free_domain())


# Nothing leaves this machine. Humble knows the first name only; Jazzy warns of it wherever a program starts.
ENVIRONMENT = (
    {'ROS_LOCALHOST_ONLY': '1'}
    if os.environ.get('ROS_DISTRO') == 'humble'
    else {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
)
