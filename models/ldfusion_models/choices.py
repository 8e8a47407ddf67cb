"""What users may choose, as parameters of nodes and on the command line, and the smallest image.

Imports nothing, so that ``--help`` can list it at once.
"""

from typing import Literal

# auto takes the best that runs here, in this order; ``engines/selection.py`` makes them.
EngineName = Literal['auto', 'tensorrt', 'torch', 'onnxruntime-cuda', 'onnxruntime', 'openvino']
# fp32: float32 throughout. mixed: features and fusion with 16 bits, depth with 32. auto: what the engine does best.
Precision = Literal['auto', 'fp32', 'mixed']
# How 16-bit thermal images become 8-bit ones: ``camera/thermal.py``.
GainMode = Literal['percentile', 'clahe', 'plateau']
# How depth of reduced images comes to their size: ``rig/upsampling.py``.
Enlargement = Literal['guided', 'nearest', 'none']
# png: 16 bits, 0 where unknown, 65535 beyond what they reach; tiff, npz (``depth``): float32 metres, NaN where unknown.
DepthFormat = Literal['png', 'tiff', 'npz']
# The image that a published network estimates depth of.
DepthSource = Literal['fused', 'visible', 'thermal']
# The package's own captioner or text encoder, where a published one may be named.
EMBEDDED = 'embedded'
# Pixels each way.
MINIMUM_SIZE = 32
# Endings of image files that are read and written.
IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff')
