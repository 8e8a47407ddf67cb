"""The robot: nodes, message conversions and bag tools."""

import os

# Before OpenCV is imported: by default a few bytes of PNG that promise a billion pixels take gigabytes.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(1 << 26))
