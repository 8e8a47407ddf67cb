"""Published models that this project knows by name; any other of the same kinds can be fetched as well."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A published model.

    Attributes:
        name: OWNER/NAME on the hub.
        task: ``depth``, ``captions`` or ``text``.
        megabytes: of its weights, about, as published.
        licence: as its page on the hub says, or its authors; read it before use.
        remark: what it was made for.
        also: what open_clip calls it, ARCH/TAG.
        read: what of size and licence was read on stored copies of its page (2023 to 2025); all else is from memory.
    """

    name: str
    task: str
    megabytes: int
    licence: str
    remark: str
    read: str = ''
    also: str = ''


KNOWN = (
    Known(
        'depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf',
        'depth',
        99,
        'Apache-2.0',
        'roads, to 80 m',
        'size; no licence on it',
    ),
    Known('depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf', 'depth', 100, 'Apache-2.0', 'rooms, to 20 m'),
    Known(
        'depth-anything/Depth-Anything-V2-Metric-Outdoor-Base-hf',
        'depth',
        390,
        'CC-BY-NC-4.0',
        'roads, to 80 m',
        'size; no licence on it',
    ),
    Known('depth-anything/Depth-Anything-V2-Metric-Indoor-Base-hf', 'depth', 390, 'CC-BY-NC-4.0', 'rooms, to 20 m'),
    Known(
        'depth-anything/Depth-Anything-V2-Metric-Outdoor-Large-hf',
        'depth',
        1340,
        'CC-BY-NC-4.0',
        'roads, to 80 m',
        'size; Apache-2.0 on it',
    ),
    Known('depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf', 'depth', 1340, 'CC-BY-NC-4.0', 'rooms, to 20 m'),
    Known('Intel/zoedepth-nyu-kitti', 'depth', 1380, 'MIT', 'rooms and roads', 'size, licence'),
    Known('vinvino02/glpn-kitti', 'depth', 245, 'Apache-2.0', 'roads', 'size, licence'),
    Known('vinvino02/glpn-nyu', 'depth', 245, 'Apache-2.0', 'rooms'),
    Known('apple/DepthPro-hf', 'depth', 1900, 'Apple, research only', 'any camera; takes its focal length'),
    Known('Salesforce/blip-image-captioning-base', 'captions', 990, 'BSD-3-Clause', 'one sentence', 'licence'),
    Known('HuggingFaceTB/SmolVLM-256M-Instruct', 'captions', 513, 'Apache-2.0', 'answers to an instruction', 'licence'),
    Known('florence-community/Florence-2-base', 'captions', 460, 'MIT', 'one sentence', 'licence, on pages about it'),
    Known('timm/vit_base_patch32_clip_224.openai', 'text', 605, 'MIT', 'prompts', '', 'ViT-B-32/openai'),
    Known(
        'apple/MobileCLIP-S1-OpenCLIP',
        'text',
        340,
        'Apple, apple-amlr',
        'prompts',
        'size, licence',
        'MobileCLIP-S1/datacompdr',
    ),
    Known('timm/MobileCLIP2-S0-OpenCLIP', 'text', 300, 'Apple, apple-amlr', 'prompts', '', 'MobileCLIP2-S0/dfndr2b'),
)
# What gives metres where the model that was asked for does not.
METRIC_SIBLINGS = {
    'depth-anything/Depth-Anything-V2-Small-hf': KNOWN[0].name,
    'depth-anything/Depth-Anything-V2-Base-hf': KNOWN[2].name,
    'depth-anything/Depth-Anything-V2-Large-hf': KNOWN[4].name,
    'Intel/dpt-large': 'Intel/zoedepth-nyu-kitti',
    'Intel/dpt-hybrid-midas': 'Intel/zoedepth-nyu-kitti',
}


def hub_name(name: str) -> str:
    """OWNER/NAME of a model that may be named as open_clip does."""
    return next((known.name for known in KNOWN if known.also == name), name)
