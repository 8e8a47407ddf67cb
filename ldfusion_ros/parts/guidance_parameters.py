"""The parameters of ``guidance_node``."""

from dataclasses import dataclass
from typing import ClassVar

from ldfusion_models.choices import EMBEDDED
from ldfusion_models.published.profiles import OF_NODES
from ldfusion_models.rig.settings import Profiled, setting
from ldfusion_ros.node.parameters import CommonParameters


@dataclass(frozen=True)
class GuidanceParameters(CommonParameters, Profiled):
    """Parameters of ``guidance_node``; a field's name is the parameter's name."""

    of_profile: ClassVar[tuple[str, ...]] = OF_NODES['guidance_node']

    text_encoder: str = setting(
        EMBEDDED,
        'Text encoder that the fusion was trained with or fitted to: embedded, a published one, or its folder.',
        'configure',
    )
    captioner: str = setting(
        EMBEDDED, 'Captioner: embedded, or a published one by its name in transformers or as a folder.', 'configure'
    )
    weights: str = setting(
        '',
        "Folder of the captioner's and the depth branches' weights; empty takes those that come with the package.",
        'configure',
    )
    threads: int = setting(1, 'CPU threads of the networks; 0: one a processor.', 'configure', (0, 256))
    niceness: int = setting(
        19, 'Priority at which captions give way to other work: 0 does not, 19 to everybody.', 'configure', (0, 19)
    )

    prompt: str = setting(
        '', 'What matters, from the start; ~/prompt replaces it. Empty: captions of what the cameras see.', 'configure'
    )
    rate: float = setting(1.0, 'Captions per second at most.', 'configure', (0.01, 30.0))
    stale_after: float = setting(
        5.0, 'Seconds without images after which the caption is taken back and diagnostics warn.', limits=(0.1, 3600.0)
    )
