"""``ldfusion evaluate bag`` and ``ldfusion evaluate compare``: recordings offline, and two evaluations side by side."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ldfusion_models.choices import EngineName
from ldfusion_training.options.types import Positive


@dataclass(frozen=True, kw_only=True)
class EvaluateBag:
    """Recordings offline: every pair fused and measured, with a report.

    Fuses every pair of rosbag2 recordings (MCAP or sqlite3, compressed or not) as fusion_node would, without ROS,
    and writes OUTPUT/report.html, report.json, frames.csv and latency.json. A rerun goes on where one was
    interrupted. Exit code 0: all was read and evaluated; 1: part of it, as said on stderr and in the report; 2:
    nothing.
    """

    bags: tuple[Path, ...] = field(kw_only=False)
    """folder of a recording, or one of its files"""
    output: Path
    """folder for the results"""
    parameters: Path | None = None
    """the node's parameter file; options go first"""
    engine: EngineName | None = None
    """runtime of the networks"""
    weights: str | None = None
    """weights; default: those of the package"""
    inference_size: int | None = None
    """reduce longer images to so many pixels"""
    threads: int | None = None
    """CPU threads of the engine"""
    registration_file: str | None = None
    """how the thermal image lies in the visible one (default: aligned), and where scanners are (default: /tf_static)"""
    sync_tolerance: float | None = None
    """seconds that the stamps of a pair may differ"""
    clock_offset: float | None = None
    """seconds added to thermal stamps"""
    fallback_field_of_view: float | None = None
    """of a visible camera without camera_info"""
    camera_height: float | None = None
    """metres above the ground, which correct depth"""
    visible_topic: str = ''
    thermal_topic: str = ''
    depth_topic: str = ''
    """measured depth image; none: leave it out"""
    points_topic: str = ''
    """laser scans; none: leave them out"""
    ranges_topic: str = ''
    """point cloud, laser scan or sonars (Range) that correct depth, as on the robot, placed by /tf_static or the
    registration file; depth is then judged by another topic"""
    pair_by: Literal['stamps', 'arrival'] = 'stamps'
    """by the stamps of the headers, or, where those are wrong, by when the messages were recorded"""
    metrics_every: int = 5
    """VIF, Qabf, SSIM, Nabf, chroma error, flicker and depth of every Nth frame (1: of all, 0: no measures); the other
    measures are of all frames"""
    depth_tolerance: Positive = 0.02
    """between depth and visible image"""
    near: Positive = 0.001
    """nearest depth that counts"""
    far: Positive = 80.0
    """farthest depth that counts"""
    output_bag: bool = False
    """recordings/NAME/outputs: fused images and depth"""
    mp4: bool = False
    """recordings/NAME/video.mp4: inputs, fused image and depth"""
    workers: int = 1
    """recordings at a time"""
    ray: str | None = None
    """on the Ray cluster at this address; local: on one made on this machine"""


@dataclass(frozen=True, kw_only=True)
class EvaluateCompare:
    """Two evaluated recordings side by side.

    Reads what two runs of "ldfusion evaluate bag" wrote, prints how the measures differ over the frames that both
    have, with 95 % confidence intervals, and writes OUTPUT/compare.html with pictures, compare.json and compare.md.
    """

    a: Path = field(kw_only=False)
    """folder of the first evaluation"""
    b: Path = field(kw_only=False)
    """folder of the second one"""
    output: Path
    """folder for the results"""
