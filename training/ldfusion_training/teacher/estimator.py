"""Depth of whole images by teachers, from overlapping tiles as large as what they were trained on."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ldfusion_training.teacher.network import TeacherNetwork, rays

Image = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]
# Width and height of a tile; each is at least half covered by the next.
TILE = (448, 336)


class TeacherEstimator:
    """The mean of the log depths that several teachers see in an image and in its mirror image."""

    def __init__(self, networks: Sequence[TeacherNetwork], device: str = 'cpu') -> None:
        self.networks = [network.to(device).eval() for network in networks]
        self.device = device
        self.focal = networks[0].config.canonical_focal

    @torch.inference_mode()
    def __call__(self, image: Image, centre: tuple[float, float] | None = None) -> tuple[Map, Map]:
        """Canonical log depth and its variance, (H, W) each.

        Args:
            image: (H, W, 3).
            centre: principal point (x, y); None for the middle.
        """
        height, width = image.shape[:2]
        scale = max(TILE[0] / width, TILE[1] / height)
        size = max(round(width * scale), TILE[0]), max(round(height * scale), TILE[1])
        resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        x, y = centre or ((width - 1) / 2, (height - 1) / 2)
        looks = rays(*size, (x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5, self.focal)
        planes = torch.cat([torch.from_numpy(resized).permute(2, 0, 1) / 255.0, looks])
        joined = self._tiled(planes.to(self.device)).cpu().numpy()
        log_depth, variance = (cv2.resize(each, (width, height)) for each in joined)
        # The resized image has another focal length.
        return np.asarray(log_depth + np.log(scale), np.float32), np.asarray(variance, np.float32)

    def _tiled(self, planes: Tensor) -> Tensor:
        """Log depth and variance (2, H, W), tiles weighted down towards their borders."""
        total = planes.new_zeros(3, *planes.shape[1:])
        weight = torch.outer(_tent(TILE[1]), _tent(TILE[0])).to(planes.device)
        for top in _starts(planes.shape[1], TILE[1]):
            for left in _starts(planes.shape[2], TILE[0]):
                rows, columns = slice(top, top + TILE[1]), slice(left, left + TILE[0])
                seen = self._both_ways(planes[:, rows, columns])
                total[:, rows, columns] += torch.cat([seen * weight, weight[None]])
        return total[:2] / total[2:]

    def _both_ways(self, tile: Tensor) -> Tensor:
        mirrored = tile.flip(2)
        mirrored[3] *= -1
        outputs = [network(torch.stack([tile, mirrored])) for network in self.networks]
        means = [
            torch.stack([(each[0] + each[1].flip(2))[0] / 2 for each in (output.log_depth, output.variance)])
            for output in outputs
        ]
        return torch.stack(means).mean(dim=0)


def _starts(length: int, tile: int) -> list[int]:
    count = 1 if length == tile else int(np.ceil((length - tile) / (tile / 2))) + 1
    return [round(start) for start in np.linspace(0, length - tile, count)]


def _tent(length: int) -> Tensor:
    centre = (length - 1) / 2
    return 1.02 - (torch.arange(length) - centre).abs() / centre
