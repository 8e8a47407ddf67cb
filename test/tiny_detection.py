"""Small real parts of detection for tests: thermal images with boxes, and a detector of YOLOX-Nano's layout."""

from pathlib import Path

import numpy as np
import pytest
from heavy import WhenUsed

from ldfusion_models.files import write_image

torch = WhenUsed('torch')
pytest.importorskip('onnx')

CLASSES, SIDE = 80, 96


def write_hit_uav(folder: Path) -> Path:
    """Two thermal images with one bright person each."""
    for name, left in (('a', 20), ('b', 90)):
        image = np.full((128, 160), 60, np.uint8)
        image[40:90, left : left + 24] = 220
        write_image(folder / 'ir' / f'{name}.png', image)
        (folder / 'boxes').mkdir(exist_ok=True)
        (folder / 'boxes' / f'{name}.json').write_text(f'[["Person", {left}, 40, {left + 24}, 90]]')
    return folder


def write_yolox(file: Path) -> Path:
    """YOLOX-Nano with random weights and a small input, as its authors export it."""
    from ldfusion_models.networks.captioner import CaptionerConfig, CaptionNetwork

    class Exported(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.network = CaptionNetwork(CaptionerConfig(tuple(map(str, range(CLASSES))), ('a',), ('a',), ('a',)))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            features = self.network.neck(self.network.backbone(image))
            outputs = []
            for head, level in zip(self.network.heads, features, strict=True):
                box, objectness, classes = head(level)
                outputs.append(torch.cat([box, objectness.sigmoid(), classes.sigmoid()], 1).flatten(2))
            return torch.cat(outputs, 2).transpose(1, 2)

    file.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(Exported().eval(), (torch.zeros(1, 3, SIDE, SIDE),), str(file), dynamo=False)
    return file
