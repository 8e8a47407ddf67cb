"""The parameters of ``fusion_node``."""

from dataclasses import dataclass

from ldfusion_models.rig.settings import NodeSettings, setting
from ldfusion_ros.node.parameters import CommonParameters


@dataclass(frozen=True)
class FusionParameters(NodeSettings, CommonParameters):
    """Parameters of ``fusion_node``: those of rig and engine, and what only a robot has."""

    warm_up_width: int = setting(
        640, 'Width of the image that warms the engine up, in pixels.', 'configure', (32, 8192)
    )
    warm_up_height: int = setting(
        480, 'Height of the image that warms the engine up, in pixels.', 'configure', (32, 8192)
    )
    drift_period: float = setting(
        10.0, 'Seconds between two looks at how far the images are apart; 0 is never.', 'configure', (0.0, 3600.0)
    )
    drift_warning: float = setting(
        4.0, 'Pixels of the visible image by which the images may be apart before diagnostics warn.', limits=(0.0, 1e4)
    )
    depth_encoding: str = setting(
        '32FC1', '32FC1 is metres, NaN unknown; 16UC1 is millimetres, 0 unknown (REP 118).', choices=('32FC1', '16UC1')
    )
    lazy: bool = setting(True, 'Do no work for outputs without subscriber, and run nothing if there is none at all.')
    fused_rate: float = setting(0.0, 'Fused images per second at most; 0 is one per pair.', limits=(0.0, 1000.0))
    depth_rate: float = setting(0.0, 'Depth images per second at most; 0 is one per pair.', limits=(0.0, 1000.0))
    points_rate: float = setting(0.0, 'Clouds per second at most; 0 is one per pair.', limits=(0.0, 1000.0))
    text_timeout: float = setting(
        10.0,
        'Seconds after which a text embedding that nobody repeats (guidance_node does) is dropped; 0 is never.',
        limits=(0.0, 3600.0),
    )
    correcting_depth: str = setting(
        '',
        'Prepared published depth network, too slow for every frame: in a thread of its own it corrects the depth of '
        'the frames, where no measured ranges do; OWNER/NAME or folder, empty: none.',
        'configure',
    )
    correcting_depth_age: float = setting(
        5.0,
        'Seconds for which the depth of correcting_depth corrects scale and shape; then, up to two minutes, scale.',
        limits=(0.0, 60.0),
    )
    snapshot_folder: str = setting('~/.ros/ldfusion_snapshots', 'Folder for what the service ~/save_snapshot saves.')
    stale_after: float = setting(2.0, 'Seconds without a pair after which diagnostics warn.', limits=(0.1, 3600.0))
    latency_warning: float = setting(0.5, 'Seconds of latency (p95) above which diagnostics warn.', limits=(0.0, 60.0))
    latency_error: float = setting(
        2.0, 'Seconds of latency (p95) above which diagnostics say error.', limits=(0.0, 60.0)
    )
    drop_warning: float = setting(
        0.1,
        'Part of the images dropped as bad or late since the last diagnostics above which they warn.',
        limits=(0.0, 1.0),
    )
    drop_error: float = setting(
        0.9,
        'Part of the images dropped as bad or late since the last diagnostics above which they say error.',
        limits=(0.0, 1.0),
    )
