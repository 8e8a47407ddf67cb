"""The ground floor: networks, engines and the per-frame pipeline. Knows no ROS."""

__version__ = '0.1.0'
