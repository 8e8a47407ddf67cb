"""``ldfusion simulate``: made RGB-thermal-depth scenes."""

from dataclasses import dataclass
from pathlib import Path

from ldfusion_training.options.types import Picture, Size


@dataclass(frozen=True, kw_only=True)
class Simulate:
    """Make RGB-thermal-depth scenes with exact depth and descriptions.

    Makes drives and walks of a visible and a thermal camera, and writes them with exact depth, instances, poses and
    descriptions. The same seed makes the same bytes. A rerun goes on where one stopped.
    """

    output: Path | None = None
    """folder for the scenes"""
    preview: Picture | None = None
    """a sheet with the first frame of each scene"""
    benchmark: bool = False
    """print frames per second and core as JSON"""
    bag: bool = False
    """write each scene as a rosbag2 recording (MCAP)"""
    scenes: int = 6
    """number of scenes"""
    frames: int = 20
    """frames in each scene"""
    seed: int = 0
    """start of all random choices"""
    rate: float = 10.0
    """frames per second"""
    kinds: tuple[str, ...] = ('street', 'parking_lot', 'campus_path', 'warehouse_aisle', 'corridor', 'tunnel')
    """of street, parking_lot, campus_path, warehouse_aisle, corridor, tunnel"""
    lights: tuple[str, ...] = ('day', 'dusk', 'night')
    """of day, dusk, night"""
    weathers: tuple[str, ...] = ('clear', 'overcast', 'fog', 'smoke')
    """of clear, overcast, fog, smoke"""
    size: Size = (640, 480)
    """visible image (640x480)"""
    field_of_view: float = 60.0
    """horizontal, in degrees"""
    robot_cameras: bool = False
    """another field of view, height, pitch and roll in every scene, as robots have"""
    baseline: float = 0.0
    """metres by which the thermal camera is to the right; 0: both images are aligned"""
    thermal_size: Size | None = None
    """thermal image; needs a baseline"""
    thermal_field_of_view: float | None = None
    """in degrees; needs a baseline"""
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """k1 k2 p1 p2 k3 of the lenses"""
