"""An image from the gradients that it should have: the screened Poisson equation solved by a few small convolutions.

The solution's Green's function is wide, but a pyramid of small kernels comes close to it ("Convolution Pyramids",
Farbman, Fattal and Lischinski 2011): one V-cycle of multigrid in which smoothing and change of scale have become one
kernel each. The cost per pixel is constant, and every engine knows the operations.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# How strongly the solution is held at the intensities; its Green's function reaches about 1 / sqrt(SCREENING) pixels.
SCREENING = 0.005

# Kernels per level, finest first: down, up (both 6x6, stride 2) and across (3x3), each by its entries that differ when
# the kernel is the same in every direction: the rows of its corner up to the diagonal. From
# `python -m ldfusion_training.stages.poisson_fit`.
_KERNELS: tuple[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]], ...] = (
    (
        (0.02228, 0.04134, 0.12839, 0.02778, 0.19278, 0.41784),
        (0.02533, 0.04452, 0.13224, 0.02813, 0.19342, 0.41533),
        (0.01885, 0.06857, 0.29593),
    ),
    (
        (0.01910, 0.03888, 0.11931, 0.04061, 0.18773, 0.35356),
        (0.04254, 0.05730, 0.13133, 0.02312, 0.17085, 0.35553),
        (-0.02548, 0.12035, 0.34332),
    ),
    (
        (0.02575, 0.05436, 0.12925, 0.06273, 0.21150, 0.29903),
        (0.10435, 0.09593, 0.13942, -0.00722, 0.14216, 0.32651),
        (0.00008, 0.13531, 0.27989),
    ),
    (
        (0.11464, 0.11752, 0.15391, 0.06675, 0.24332, 0.26312),
        (0.01365, 0.11671, 0.15301, 0.26764, 0.20496, 0.18598),
        (-0.02327, 0.14196, 0.14234),
    ),
)
_COARSEST = 0.12352


class PoissonPyramid(nn.Module):
    """Solves (SCREENING - Laplacian) u = source, about; zero outside of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = len(_KERNELS)
        for level, (down, up, across) in enumerate(_KERNELS):
            self.register_buffer(f'down{level}', symmetric_kernel(torch.tensor(down), 6), persistent=False)
            self.register_buffer(f'up{level}', symmetric_kernel(torch.tensor(up), 6), persistent=False)
            self.register_buffer(f'across{level}', symmetric_kernel(torch.tensor(across), 3), persistent=False)

    def forward(self, source: Tensor) -> Tensor:
        """u (B, 1, H, W) of ``source`` (B, 1, H, W); H and W are multiples of 2 ** levels."""
        return solve(
            source,
            [
                (getattr(self, f'down{i}'), getattr(self, f'up{i}'), getattr(self, f'across{i}'))
                for i in range(self.levels)
            ],
            _COARSEST,
        )


def solve(source: Tensor, kernels: list[tuple[Tensor, Tensor, Tensor]], coarsest: float | Tensor) -> Tensor:
    """Down the pyramid and up again; ``kernels`` (1, 1, k, k) as (down, up, across), finest first."""
    levels = []
    for down, _, _ in kernels:
        levels.append(source)
        source = F.conv2d(source, down, stride=2, padding=2)
    solution = source * coarsest
    for level, (_, up, across) in zip(reversed(levels), reversed(kernels), strict=True):
        solution = _enlarge(solution, up) + F.conv2d(level, across, padding=1)
    return solution


def _enlarge(image: Tensor, kernel: Tensor) -> Tensor:
    """``F.conv_transpose2d(image, kernel, stride=2, padding=2)`` for a symmetric kernel (1, 1, 6, 6), in half the time.

    Each pixel becomes four, each of them by its own 3x3 of the kernel's entries.
    """
    phases = [kernel[:, :, 1 - row :: 2, 1 - column :: 2] for row in (0, 1) for column in (0, 1)]
    return F.pixel_shuffle(F.conv2d(image, torch.cat(phases), padding=1), 2)


def symmetric_kernel(entries: Tensor, size: int) -> Tensor:
    """The kernel (1, 1, size, size) that is the same in every direction, from its n (n + 1) / 2 different entries."""
    half = (size + 1) // 2
    corner = entries.new_zeros((half, half))
    rows, columns = torch.tril_indices(half, half)
    corner = corner.index_put((rows, columns), entries)
    corner = corner.index_put((columns, rows), entries)
    odd = size % 2
    top = torch.cat([corner, corner.flip(1)[:, odd:]], dim=1)
    return torch.cat([top, top.flip(0)[odd:]], dim=0)[None, None]
