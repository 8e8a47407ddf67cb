"""The lab: data, simulation, losses, metrics, recipes and the command line. Knows ROS only as bag files."""

# First of all: it sets OpenCV's limit on pixels.
import ldfusion_models  # noqa: F401
