"""The parameters of ``guidance_node``."""

from dataclasses import dataclass

from ldfusion_models.camera.pairing import PairingConfig
from ldfusion_ros.node.parameters import parameter
from ldfusion_ros.parts.fusion_parameters import TRANSPORTS


@dataclass(frozen=True)
class GuidanceParameters:
    """Parameters of ``guidance_node``; a field's name is the parameter's name."""

    autostart: bool = parameter(True, 'Configure and activate the node by itself.', 'start')
    diagnostics_period: float = parameter(1.0, 'Seconds between two diagnostics.', 'start', (0.1, 60.0))

    text_encoder: str = parameter(
        'embedded',
        'Text encoder that the fusion was trained with: embedded, an open_clip model as NAME/TAG, or its folder.',
        'configure',
    )
    captioner: str = parameter(
        'embedded', 'Captioner: embedded, or a published one by its name in transformers or as a folder.', 'configure'
    )
    weights: str = parameter(
        '',
        "Folder of the captioner's and the depth branches' weights; empty takes those that come with the package.",
        'configure',
    )
    threads: int = parameter(1, 'CPU threads of the networks; 0 lets PyTorch choose.', 'configure', (0, 256))
    niceness: int = parameter(
        19, 'Priority at which captions give way to other work: 0 does not, 19 to everybody.', 'configure', (0, 19)
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

    prompt: str = parameter(
        '', 'What matters, from the start; ~/prompt replaces it. Empty: captions of what the cameras see.', 'configure'
    )
    rate: float = parameter(1.0, 'Captions per second at most.', 'configure', (0.01, 30.0))
    sync_tolerance: float = parameter(0.025, 'Seconds that the stamps of a pair may differ.', limits=(0.0, 10.0))
    clock_offset: float = parameter(
        0.0, 'Seconds added to thermal stamps to express them in the clock of the visible camera.', limits=(-1e5, 1e5)
    )
    degraded_after: float = parameter(
        2.0, 'Seconds without one camera after which the other is described alone; 0 is never.', limits=(0.0, 60.0)
    )
    fallback_field_of_view: float = parameter(
        0.0,
        'Horizontal field of view in degrees of a camera without camera_info; 0 is unknown: distances in captions are '
        'then those of a canonical camera.',
        limits=(0.0, 170.0),
    )
    stale_after: float = parameter(
        5.0, 'Seconds without images after which the caption is taken back and diagnostics warn.', limits=(0.1, 3600.0)
    )

    def pairing(self) -> PairingConfig:
        """Settings of the synchroniser."""
        return PairingConfig(
            tolerance_ns=round(self.sync_tolerance * 1e9), clock_offset_ns=round(self.clock_offset * 1e9)
        )
