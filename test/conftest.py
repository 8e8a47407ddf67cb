"""What holds for all tests."""

import os
import signal

# The networks here are small: threads that wait for each other take longer than one, many times so on a busy machine.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# A shell starts what runs in the background with SIGINT ignored, and programs that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
