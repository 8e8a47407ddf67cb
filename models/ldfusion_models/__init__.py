"""The ground floor: networks, engines and the per-frame pipeline. Knows no ROS."""

import os

__version__ = '0.1.0'
# Before OpenCV is imported: by default a few bytes of PNG that promise a billion pixels take gigabytes.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(1 << 26))
