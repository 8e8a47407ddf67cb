"""``ldfusion demo``: a recording through the fusion node over real ROS 2."""

from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.choices import EngineName
from ldfusion_training.options.types import Positive


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Replay a recording through fusion_node and look at the results.

    Replays a recording in real time to fusion_node, records the outputs, and writes report.json, contact_sheet.png
    and outputs (rosbag2). Without --bag or folders the recording is simulated.
    """

    bag: Path | None = None
    """recording (rosbag2; MCAP or sqlite3)"""
    visible: Path | None = None
    """folder of visible images, with --thermal"""
    thermal: Path | None = None
    """folder of thermal images, with --visible"""
    visible_topic: str | None = None
    """image topic of the recording, with --thermal-topic"""
    thermal_topic: str | None = None
    """image topic of the recording, with --visible-topic"""
    output: Path = Path('out/demo')
    """folder for the results"""
    engine: EngineName = 'auto'
    rate: Positive = 1.0
    """speed of the replay; 1 is as recorded"""
    view: int | None = None
    """show everything in the Foxglove app, at this port, such as 8765"""
