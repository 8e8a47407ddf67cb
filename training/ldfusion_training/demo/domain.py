"""A ROS domain of one's own, so that programs started together hear each other and nobody else."""

import fcntl
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ldfusion_models.errors import InputError

# Robots have the lower ones; ports of those above 101 are not free on Linux.
DOMAINS = range(30, 102)


@contextmanager
def free_domain() -> Iterator[int]:
    """A domain that nobody else on this machine gets from here while the block lasts, seldom the last one.

    Raises:
        InputError: all of them are held.
    """
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        try:
            file = (Path(tempfile.gettempdir()) / f'ldfusion_domain_{domain}').open('a')
        except PermissionError:
            # Another user's.
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise InputError(f'ROS domains {DOMAINS[0]} to {DOMAINS[-1]} are all in use by demos on this machine: end one')
