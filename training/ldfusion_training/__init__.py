"""The lab: data, simulation, losses, metrics, recipes and the command line. Knows ROS only as bag files."""
