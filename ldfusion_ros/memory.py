"""Memory of large messages."""

import ctypes
import platform

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
MEGABYTE = 1 << 20


def keep_large_buffers() -> None:
    """Let the C library keep the memory of large messages for the next one.

    By default glibc asks the kernel for every buffer above a threshold and gives it back at once, so that each
    image and cloud is paid for again page by page: several times the cost of sending it.
    """
    if platform.libc_ver()[0] == 'glibc':
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 * MEGABYTE)
        libc.mallopt(M_TRIM_THRESHOLD, 256 * MEGABYTE)
