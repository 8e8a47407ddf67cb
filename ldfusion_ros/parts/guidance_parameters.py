"""The parameters of ``guidance_node``."""

from dataclasses import dataclass

from ldfusion_models.rig.settings import StreamSettings, setting
from ldfusion_ros.parts.fusion_parameters import TRANSPORTS


@dataclass(frozen=True)
class GuidanceParameters(StreamSettings):
    """Parameters of ``guidance_node``; a field's name is the parameter's name."""

    autostart: bool = setting(True, 'Configure and activate the node by itself.', 'start')
    diagnostics_period: float = setting(1.0, 'Seconds between two diagnostics.', 'start', (0.1, 60.0))

    text_encoder: str = setting(
        'embedded',
        'Text encoder that the fusion was trained with: embedded, an open_clip model as NAME/TAG, or its folder.',
        'configure',
    )
    captioner: str = setting(
        'embedded', 'Captioner: embedded, or a published one by its name in transformers or as a folder.', 'configure'
    )
    weights: str = setting(
        '',
        "Folder of the captioner's and the depth branches' weights; empty takes those that come with the package.",
        'configure',
    )
    threads: int = setting(1, 'CPU threads of the networks; 0 lets PyTorch choose.', 'configure', (0, 256))
    niceness: int = setting(
        19, 'Priority at which captions give way to other work: 0 does not, 19 to everybody.', 'configure', (0, 19)
    )

    visible_transport: str = setting(
        'raw',
        'How visible images come: raw, or compressed (topic with /compressed).',
        'configure',
        choices=TRANSPORTS,
    )
    thermal_transport: str = setting(
        'raw',
        'How thermal images come: raw, or compressed (topic with /compressed).',
        'configure',
        choices=TRANSPORTS,
    )

    prompt: str = setting(
        '', 'What matters, from the start; ~/prompt replaces it. Empty: captions of what the cameras see.', 'configure'
    )
    rate: float = setting(1.0, 'Captions per second at most.', 'configure', (0.01, 30.0))
    stale_after: float = setting(
        5.0, 'Seconds without images after which the caption is taken back and diagnostics warn.', limits=(0.1, 3600.0)
    )
