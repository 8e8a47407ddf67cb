"""Memory of large messages."""

import ctypes
import os
import platform
from pathlib import Path

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
MEGABYTE = 1 << 20
FAST_DDS_PROFILES = Path(__file__).parents[1] / 'fastdds.xml'
# Fast DDS 3, from Kilted on, knows the first and warns about the second, which Fast DDS 2 needs.
FAST_DDS_3_FILE, FAST_DDS_2_FILE = 'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'
WITH_FAST_DDS_2 = ('humble', 'iron', 'jazzy')


def keep_large_buffers() -> None:
    """Let the C library keep the memory of large messages for the next one.

    By default glibc asks the kernel for every buffer above a threshold and gives it back at once, so that each
    image and cloud is paid for again page by page: several times the cost of sending it. What is kept is kept once, and
    not by each arena that glibc makes for threads: every activation of a node starts threads anew.
    """
    if platform.libc_ver()[0] == 'glibc':
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 * MEGABYTE)
        libc.mallopt(M_TRIM_THRESHOLD, 256 * MEGABYTE)
        libc.mallopt(M_ARENA_MAX, 1)


def enlarge_shared_memory() -> None:
    """Let Fast DDS hold several large messages at once on their way to other processes of this machine.

    In its default of 512 KB per process, parts of an image are overwritten by the next message before a busy reader
    has taken them, and the image is lost. Call it before ``rclpy.init``; a person's own settings stay.
    """
    if any(name in os.environ for name in (FAST_DDS_3_FILE, FAST_DDS_2_FILE, 'FASTDDS_BUILTIN_TRANSPORTS')):
        return
    name = FAST_DDS_2_FILE if os.environ.get('ROS_DISTRO') in WITH_FAST_DDS_2 else FAST_DDS_3_FILE
    os.environ[name] = str(FAST_DDS_PROFILES)
