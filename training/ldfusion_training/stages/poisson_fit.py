"""Fits the kernels of ``ldfusion_models.networks.poisson`` to exact solutions and prints them; needed once.

The starting point is one V-cycle of multigrid (damped Jacobi, bilinear interpolation and its transpose). The sources
are divergences of random gradients of many sizes, which is what fusion asks the pyramid to solve.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ldfusion_models.networks.poisson import SCREENING, solve, symmetric_kernel

LEVELS = 4
SIDE = 192
# Borders are left out: there the exact solution reflects, and the pyramid does not.
MARGIN = 40
_DAMPING = 0.9

Kernels = list[tuple[Tensor, Tensor, Tensor]]
Plane = npt.NDArray[np.float32]


def v_cycle() -> tuple[list[Tensor], float]:
    """Entries of the kernels (down, up, across per level) of one V-cycle, and the factor of the coarsest level."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    interpolation = torch.outer(line, line)
    entries = []
    for level in range(LEVELS):
        local = SCREENING * 4**level
        diagonal = 4 + local
        operator = torch.tensor([[0, -1.0, 0], [-1.0, diagonal, -1.0], [0, -1.0, 0]])
        smoothing = -_DAMPING / diagonal * operator
        smoothing[1, 1] += 1
        across = -((_DAMPING / diagonal) ** 2) * operator
        across[1, 1] += 2 * _DAMPING / diagonal
        # The coarser grid's operator is scaled by 4, as its right-hand side must be.
        moved = _convolve(interpolation, smoothing)
        entries += [_entries(moved), _entries(moved), _entries(across)]
    return entries, 1 / (4 + SCREENING * 4**LEVELS)


def divergence(right: Plane, below: Plane) -> Plane:
    """Divergence (H, W) of differences to the right and to the lower neighbour."""
    result = right + below
    result[:, 1:] -= right[:, :-1]
    result[1:] -= below[:-1]
    return result


def solve_screened_poisson(intensity: Plane, right: Plane, below: Plane, weight: float) -> npt.NDArray[np.float64]:
    """The image T (H, W) with the least |differences(T) - (right, below)|^2 + weight * |T - intensity|^2.

    Solved in the basis of the cosine transform, whose vectors are the differences' eigenvectors for free borders.
    """
    from scipy.fft import dctn, idctn

    height, width = intensity.shape
    eigenvalues = (
        weight
        + (2 - 2 * np.cos(np.pi * np.arange(height) / height))[:, None]
        + (2 - 2 * np.cos(np.pi * np.arange(width) / width))[None]
    )
    spectrum = dctn(weight * intensity - divergence(right, below), norm='ortho') / eigenvalues
    solution: npt.NDArray[np.float64] = idctn(spectrum, norm='ortho')
    return solution


def random_source(generator: np.random.Generator) -> tuple[Plane, Plane]:
    """A source (SIDE, SIDE) and its exact solution."""
    size = float(generator.choice([0.5, 1.0, 2.0, 4.0, 8.0, 16.0]))
    right, below = (_smooth_noise(generator, size) for _ in range(2))
    right[:, -1] = 0
    below[-1] = 0
    exact = solve_screened_poisson(np.zeros_like(right), right, below, SCREENING)
    scale = np.float32(1 / exact.std())
    return -divergence(right, below) * scale, exact.astype(np.float32) * scale


def fit(samples: int = 48, iterations: int = 300) -> tuple[list[Tensor], float, float]:
    """Entries, coarsest factor, and the relative error that is left on fresh sources."""
    generator = np.random.default_rng(0)
    drawn = [random_source(generator) for _ in range(samples)]
    fresh = [random_source(generator) for _ in range(16)]
    entries, factor = v_cycle()
    parameters = [entry.clone().requires_grad_() for entry in entries]
    coarsest = torch.tensor(factor).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [*parameters, coarsest], max_iter=iterations, history_size=40, line_search_fn='strong_wolfe'
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _error(drawn, parameters, coarsest)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        left = float(_error(fresh, parameters, coarsest)) ** 0.5
    return [parameter.detach() for parameter in parameters], float(coarsest.detach()), left


def kernels_of(entries: list[Tensor]) -> Kernels:
    """(down, up, across) per level from their entries."""
    return [
        (symmetric_kernel(down, 6), symmetric_kernel(up, 6), symmetric_kernel(across, 3))
        for down, up, across in zip(entries[::3], entries[1::3], entries[2::3], strict=True)
    ]


def _error(samples: list[tuple[Plane, Plane]], entries: list[Tensor], coarsest: Tensor) -> Tensor:
    sources, exact = (torch.from_numpy(np.stack(arrays))[:, None] for arrays in zip(*samples, strict=True))
    difference = solve(sources, kernels_of(entries), coarsest) - exact
    return (difference[..., MARGIN:-MARGIN, MARGIN:-MARGIN] ** 2).mean()


def _smooth_noise(generator: np.random.Generator, size: float) -> npt.NDArray[np.float32]:
    import cv2

    noise = generator.standard_normal((SIDE, SIDE)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), size), np.float32)


def _convolve(first: Tensor, second: Tensor) -> Tensor:
    return F.conv2d(first[None, None], second.flip(0, 1)[None, None], padding=second.shape[0] - 1)[0, 0]


def _entries(kernel: Tensor) -> Tensor:
    half = (kernel.shape[0] + 1) // 2
    rows, columns = torch.tril_indices(half, half)
    return kernel[rows, columns]


def main() -> None:
    """Print the table."""
    entries, coarsest, error = fit()
    print(f'# relative error {error:.3f}')
    for down, up, across in zip(entries[::3], entries[1::3], entries[2::3], strict=True):
        print('    (')
        for kernel in (down, up, across):
            print('        (' + ', '.join(f'{value:.5f}' for value in kernel.tolist()) + '),')
        print('    ),')
    print(f'_COARSEST = {coarsest:.5f}')


if __name__ == '__main__':
    main()
