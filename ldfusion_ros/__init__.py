"""The robot: nodes, message conversions and bag tools."""

# First of all: it sets OpenCV's limit on pixels.
import ldfusion_models  # noqa: F401
