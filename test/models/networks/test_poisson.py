"""The convolution pyramid against exact solutions."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('scipy')

from ldfusion_models.networks import fusion, poisson  # noqa: E402
from ldfusion_training.stages import poisson_fit  # noqa: E402


def test_exact_solution_is_the_least_squares_one() -> None:
    generator = np.random.default_rng(0)
    intensity, right, below = generator.random((3, 6, 5)).astype(np.float32)
    right[:, -1] = below[-1] = 0
    weight = 0.3
    units = torch.eye(30).reshape(30, 1, 6, 5)
    differences = torch.cat([d.flatten(1) for d in fusion.forward_differences(units)], dim=1).T.numpy()
    matrix = np.concatenate([differences, np.sqrt(weight) * np.eye(30)])
    wanted = np.concatenate([right.ravel(), below.ravel(), np.sqrt(weight) * intensity.ravel()])
    expected, *_ = np.linalg.lstsq(matrix, wanted, rcond=None)
    solution = poisson_fit.solve_screened_poisson(intensity, right, below, weight)
    np.testing.assert_allclose(solution.ravel(), expected, atol=1e-6)


@pytest.mark.parametrize('blur', [0.7, 3.0, 10.0])
@torch.no_grad()
def test_pyramid_comes_close_to_the_exact_solution_at_every_scale(blur: float) -> None:
    generator = np.random.default_rng(5)
    right, below = (poisson_fit._smooth_noise(generator, blur) for _ in range(2))
    right[:, -1] = 0
    below[-1] = 0
    exact = poisson_fit.solve_screened_poisson(np.zeros_like(right), right, below, poisson.SCREENING)
    gradient = (torch.from_numpy(plane)[None, None] for plane in (right, below))
    solved = poisson.PoissonPyramid()(-fusion.divergence(*gradient))[0, 0].numpy()
    inside = np.s_[poisson_fit.MARGIN : -poisson_fit.MARGIN, poisson_fit.MARGIN : -poisson_fit.MARGIN]
    assert np.std((solved - exact)[inside]) < 0.06 * np.std(exact[inside])


def test_fit_of_the_kernels_gets_better_than_the_cycle_it_starts_from() -> None:
    *_, rough = poisson_fit.fit(samples=4, iterations=1)
    *_, better = poisson_fit.fit(samples=4, iterations=12)
    assert better < 0.8 * rough


def test_kernel_looks_the_same_in_every_direction() -> None:
    for size, count in ((3, 3), (6, 6)):
        kernel = poisson.symmetric_kernel(torch.arange(1.0, count + 1), size)[0, 0]
        assert kernel.shape == (size, size)
        assert len(kernel.unique()) == count
        for turned in (kernel.T, kernel.flip(0), kernel.flip(1), kernel.rot90()):
            assert torch.equal(kernel, turned)


@torch.no_grad()
def test_levels_are_enlarged_as_by_a_transposed_convolution() -> None:
    """Without anything across, the solution is what goes down and up again."""
    source = torch.rand((1, 1, 16, 24), generator=torch.Generator().manual_seed(0))
    down, up = (poisson.symmetric_kernel(torch.arange(1.0, 7.0) * scale, 6) for scale in (0.01, 0.02))
    solved = poisson.solve(source, [(down, up, torch.zeros(1, 1, 3, 3))], 0.5)
    reduced = 0.5 * torch.nn.functional.conv2d(source, down, stride=2, padding=2)
    torch.testing.assert_close(solved, torch.nn.functional.conv_transpose2d(reduced, up, stride=2, padding=2))


def test_divergence_is_the_negative_adjoint_of_the_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    image, right, below = torch.rand((3, 1, 1, 7, 9), generator=generator, dtype=torch.float64)
    right[..., -1] = 0
    below[..., -1, :] = 0
    of_image = fusion.forward_differences(image)
    inner = (of_image[0] * right).sum() + (of_image[1] * below).sum()
    torch.testing.assert_close(inner, -(image * fusion.divergence(right, below)).sum())
