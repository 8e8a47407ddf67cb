"""The parameters of ``fusion_node``."""

from dataclasses import dataclass

from ldfusion_models.camera.pairing import PairingConfig
from ldfusion_models.camera.thermal import GAIN_MODES, GainConfig
from ldfusion_models.engines import ENGINES, PRECISIONS
from ldfusion_models.rig.upsampling import ENLARGEMENTS
from ldfusion_ros.node.parameters import parameter

TRANSPORTS = ('raw', 'compressed')


@dataclass(frozen=True)
class FusionParameters:
    """Parameters of ``fusion_node``; a field's name is the parameter's name."""

    autostart: bool = parameter(True, 'Configure and activate the node by itself.', 'start')
    diagnostics_period: float = parameter(1.0, 'Seconds between two diagnostics.', 'start', (0.1, 60.0))

    engine: str = parameter(
        'auto', 'Runtime of the networks; auto takes the best one here.', 'switch', choices=('auto', *ENGINES)
    )
    weights: str = parameter('', 'Folder of weights; empty takes those that come with the package.', 'switch')
    threads: int = parameter(0, 'CPU threads of the engine; 0 lets it choose.', 'switch', (0, 256))
    precision: str = parameter(
        'auto',
        "fp32; mixed: fusion with 16 bits, depth with 32; int8: of a calibrated export; auto: the engine's best.",
        'switch',
        choices=('auto', *PRECISIONS),
    )
    inference_size: int = parameter(
        0,
        'Images with a longer side are reduced to this many pixels for the networks; 0: none.',
        'switch',
        (0, 8192),
    )
    enlargement: str = parameter(
        'guided',
        'Depth of reduced images comes to their size guided by the fused image, by the nearest value, or (none) not at '
        'all: then fused image, depth and camera_info stay reduced.',
        'switch',
        choices=ENLARGEMENTS,
    )
    warm_up_width: int = parameter(
        640, 'Width of the image that warms the engine up, in pixels.', 'configure', (32, 8192)
    )
    warm_up_height: int = parameter(
        480, 'Height of the image that warms the engine up, in pixels.', 'configure', (32, 8192)
    )

    visible_transport: str = parameter(
        'raw',
        'How visible images come: raw, or compressed (topic with /compressed).',
        'configure',
        choices=TRANSPORTS,
    )
    thermal_transport: str = parameter(
        'raw',
        'How thermal images come: raw, or compressed (topic with /compressed).',
        'configure',
        choices=TRANSPORTS,
    )

    sync_tolerance: float = parameter(0.025, 'Seconds that the stamps of a pair may differ.', limits=(0.0, 10.0))
    sync_queue_size: int = parameter(10, 'Images of each camera that wait for a partner.', limits=(1, 100))
    clock_offset: float = parameter(
        0.0, 'Seconds added to thermal stamps to express them in the clock of the visible camera.', limits=(-1e5, 1e5)
    )
    degraded_after: float = parameter(
        2.0, 'Seconds without one camera after which the other is fused alone; 0 is never.', limits=(0.0, 60.0)
    )

    registration_file: str = parameter(
        '',
        'File that says how thermal is mapped into the visible image (docs/registration.md; ldfusion calibrate writes '
        'one); empty: the images are aligned.',
        'configure',
    )
    registration_distance: float = parameter(
        0.0,
        'Metres to what is to be aligned, where registration_file is by cameras; 0 is the distance of the file.',
        limits=(0.0, 1e4),
    )
    drift_period: float = parameter(
        10.0, 'Seconds between two looks at how far the images are apart; 0 is never.', 'configure', (0.0, 3600.0)
    )
    drift_warning: float = parameter(
        4.0, 'Pixels of the visible image by which the images may be apart before diagnostics warn.', limits=(0.0, 1e4)
    )

    thermal_gain: str = parameter(
        'percentile',
        'How 16-bit thermal images become 8-bit ones: percentile, straight; clahe, contrast of each part of the image; '
        'plateau, more grey for what is frequent, so that one hot thing does not make the rest black.',
        'configure',
        choices=GAIN_MODES,
    )
    thermal_low_percentile: float = parameter(
        1.0, 'Percent of 16-bit thermal pixels that are black.', 'configure', (0.0, 49.0)
    )
    thermal_high_percentile: float = parameter(
        99.5, 'Percent of 16-bit thermal pixels that are not white.', 'configure', (51.0, 100.0)
    )
    thermal_smoothing: float = parameter(
        0.9, 'Part of the gain that stays from one 16-bit thermal image to the next.', 'configure', (0.0, 0.999)
    )
    thermal_scale: float = parameter(
        0.0, 'Kelvin per count of 16-bit thermal images; 0 leaves counts in the cloud.', limits=(0.0, 100.0)
    )
    thermal_offset: float = parameter(0.0, 'Kelvin at count 0 of 16-bit thermal images.', limits=(-1e4, 1e4))
    thermal_unit: str = parameter('kelvin', 'Unit of temperatures in the cloud.', choices=('kelvin', 'celsius'))

    fallback_field_of_view: float = parameter(
        0.0,
        'Horizontal field of view in degrees of a visible camera without camera_info; 0 is unknown: '
        'depth is then that of a canonical camera, and there is no cloud.',
        limits=(0.0, 170.0),
    )
    minimum_depth: float = parameter(0.0, 'Depth below this many metres is unknown; 0 is no limit.', limits=(0.0, 1e4))
    maximum_depth: float = parameter(0.0, 'Depth beyond this many metres is unknown; 0 is no limit.', limits=(0.0, 1e4))
    flying_points: float = parameter(
        0.0,
        'Depth that changes between neighbours by more than this part of itself is unknown in the cloud; 0 keeps all.',
        limits=(0.0, 10.0),
    )
    depth_encoding: str = parameter(
        '32FC1', '32FC1 is metres, NaN unknown; 16UC1 is millimetres, 0 unknown (REP 118).', choices=('32FC1', '16UC1')
    )
    points_stride: int = parameter(1, 'Step between the pixels that become points, in both axes.', limits=(1, 64))

    lazy: bool = parameter(True, 'Do no work for outputs without subscriber, and run nothing if there is none at all.')
    fused_rate: float = parameter(0.0, 'Fused images per second at most; 0 is one per pair.', limits=(0.0, 1000.0))
    depth_rate: float = parameter(0.0, 'Depth images per second at most; 0 is one per pair.', limits=(0.0, 1000.0))
    points_rate: float = parameter(0.0, 'Clouds per second at most; 0 is one per pair.', limits=(0.0, 1000.0))

    text_timeout: float = parameter(
        10.0,
        'Seconds after which a text embedding that nobody repeats (guidance_node does) is dropped; 0 is never.',
        limits=(0.0, 3600.0),
    )

    snapshot_folder: str = parameter('~/.ros/ldfusion_snapshots', 'Folder for what the service ~/save_snapshot saves.')

    stale_after: float = parameter(2.0, 'Seconds without a pair after which diagnostics warn.', limits=(0.1, 3600.0))
    latency_warning: float = parameter(
        0.5, 'Seconds of latency (p95) above which diagnostics warn.', limits=(0.0, 60.0)
    )
    latency_error: float = parameter(
        2.0, 'Seconds of latency (p95) above which diagnostics say error.', limits=(0.0, 60.0)
    )
    drop_warning: float = parameter(
        0.1,
        'Part of the images dropped as bad or late since the last diagnostics above which they warn.',
        limits=(0.0, 1.0),
    )
    drop_error: float = parameter(
        0.9,
        'Part of the images dropped as bad or late since the last diagnostics above which they say error.',
        limits=(0.0, 1.0),
    )

    def pairing(self) -> PairingConfig:
        """Settings of the synchroniser."""
        return PairingConfig(
            tolerance_ns=round(self.sync_tolerance * 1e9),
            clock_offset_ns=round(self.clock_offset * 1e9),
            queue_size=self.sync_queue_size,
        )

    def gain(self) -> GainConfig:
        """Settings of the thermal gain control."""
        return GainConfig(
            self.thermal_low_percentile, self.thermal_high_percentile, self.thermal_smoothing, mode=self.thermal_gain
        )
