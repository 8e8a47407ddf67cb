"""ROS domains that no other test on this machine uses at the same time."""

import fcntl
import os
import tempfile
from pathlib import Path

_held = []


def own_domain() -> int:
    """A domain that stays this process's until it ends; other tests of this kind wait for none but take the next."""
    for domain in range(1, 100):
        file = (Path(tempfile.gettempdir()) / f'ldfusion_test_domain_{domain}').open('a')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _held.append(file)
        return domain
    raise RuntimeError('all ROS domains are in use by other tests')


# Nothing leaves this machine. Humble knows the first name only; Jazzy warns of it wherever a program starts.
ENVIRONMENT = (
    {'ROS_LOCALHOST_ONLY': '1'}
    if os.environ.get('ROS_DISTRO') == 'humble'
    else {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
)
