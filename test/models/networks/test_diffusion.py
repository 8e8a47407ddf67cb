"""The diffusion schedule and its steps against closed forms and, where installed, diffusers."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from ldfusion_models.files import read_image, write_image  # noqa: E402
from ldfusion_models.networks.diffusion import Diffusion, DiffusionConfig  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402


@pytest.fixture
def diffusion() -> Diffusion:
    return Diffusion(DiffusionConfig(timesteps=200, beta_start=1e-4, beta_end=0.05))


def test_schedule_is_the_product_of_the_steps(diffusion: Diffusion) -> None:
    beta = np.linspace(1e-4, 0.05, 200)
    np.testing.assert_allclose(diffusion.alpha_bar.numpy(), np.cumprod(1 - beta), rtol=1e-12)


def test_schedule_and_posterior_equal_diffusers(diffusion: Diffusion) -> None:
    schedulers = pytest.importorskip('diffusers', reason='diffusers is not installed')
    reference = schedulers.DDPMScheduler(200, 1e-4, 0.05, 'linear', variance_type='fixed_small', clip_sample=False)
    noisy, predicted = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    for timestep in (0, 1, 57, 199):
        step = reference.step(predicted, timestep, noisy, generator=torch.Generator().manual_seed(0))
        noise = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(0))
        image = diffusion.image_estimate(noisy, predicted, timestep)
        mean, variance = diffusion.posterior(noisy, image, timestep, timestep - 1)
        own = mean + variance**0.5 * noise
        torch.testing.assert_close(step.prev_sample, own, rtol=1e-4, atol=1e-4)


def test_noise_added_in_one_go_has_the_moments_of_the_chain(diffusion: Diffusion) -> None:
    image = torch.full((20000, 1, 1, 1), 0.7)
    timestep = torch.full((20000,), 120)
    generator = torch.Generator().manual_seed(1)
    noisy = diffusion.add_noise(image, torch.randn(image.shape, generator=generator), timestep)
    chain = image.clone()
    for step in range(121):
        alpha = float(diffusion.alpha[step])
        chain = alpha**0.5 * chain + (1 - alpha) ** 0.5 * torch.randn(image.shape, generator=generator)
    assert float(noisy.mean()) == pytest.approx(float(chain.mean()), abs=0.03)
    assert float(noisy.std()) == pytest.approx(float(chain.std()), abs=0.03)


def test_posterior_mean_with_the_true_noise_is_bayes_rule(diffusion: Diffusion) -> None:
    """q(x_{t-1} | x_t, x_0) is a product of two Gaussians; its mean must be eq. 7 with the noise that was added."""
    timestep, image, noise = 90, 0.3, -1.1
    alpha, bar = float(diffusion.alpha[timestep]), float(diffusion.alpha_bar[timestep])
    before = float(diffusion.alpha_bar[timestep - 1])
    noisy = bar**0.5 * image + (1 - bar) ** 0.5 * noise
    prior_precision, likelihood_precision = 1 / (1 - before), alpha / (1 - alpha)
    mean = (before**0.5 * image * prior_precision + noisy / alpha**0.5 * likelihood_precision) / (
        prior_precision + likelihood_precision
    )
    state = torch.full((1, 1, 1, 1), noisy)
    own, variance = diffusion.posterior(
        state, diffusion.image_estimate(state, torch.full((1, 1, 1, 1), noise), timestep), timestep, timestep - 1
    )
    assert float(own) == pytest.approx(mean, abs=1e-5)
    assert variance == pytest.approx(1 / (prior_precision + likelihood_precision))


@pytest.mark.parametrize('steps', [200, 20])
def test_sampling_with_a_perfect_denoiser_returns_the_data(diffusion: Diffusion, steps: int) -> None:
    """For data that is one single image the best noise prediction is known; the chain must end at that image."""
    image = torch.linspace(-0.9, 0.9, 4 * 8 * 8).reshape(1, 4, 8, 8)

    def predict(noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        bar = diffusion.alpha_bar[timestep].float().reshape(-1, 1, 1, 1)
        return (noisy - bar.sqrt() * image) / (1 - bar).sqrt()

    *_, last = diffusion.sample(predict, (3, 4, 8, 8), torch.Generator().manual_seed(0), steps)
    torch.testing.assert_close(last, image.expand(3, -1, -1, -1), atol=2e-3, rtol=0)


def test_the_chain_from_a_noisy_image_leads_back_to_it(diffusion: Diffusion) -> None:
    """From the middle of the chain, with a denoiser that knows the image."""
    image = torch.linspace(-0.9, 0.9, 4 * 8 * 8).reshape(1, 4, 8, 8)
    noisy = diffusion.add_noise(image, torch.randn(image.shape), torch.tensor([120]))

    def predict(state: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        bar = diffusion.alpha_bar[timestep].float().reshape(-1, 1, 1, 1)
        return (state - bar.sqrt() * image) / (1 - bar).sqrt()

    states = list(diffusion.reverse(predict, noisy, 120, torch.Generator().manual_seed(0), steps=30))
    assert len(states) == 30
    torch.testing.assert_close(states[-1], image, atol=2e-3, rtol=0)
    torch.testing.assert_close(diffusion.image_estimate(noisy, predict(noisy, torch.tensor([120])), 120), image)


def test_shipped_denoiser_tells_noise_from_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('accelerate', reason='training is not installed')
    y, x = np.mgrid[:120, :60]
    plane = (127 + 90 * np.sin(x / 20) * np.cos(y / 30)).astype(np.uint8)
    write_image(tmp_path / 'visible/a.png', np.stack([plane, plane, plane // 2], axis=-1))
    write_image(tmp_path / 'thermal/a.png', 255 - plane)
    values, sheet = tmp_path / 'values.json', tmp_path / 'sheet.png'
    command = ['evaluate', 'diffusion', '--pairs', str(tmp_path), '--json', str(values), '--sheet', str(sheet)]
    assert main(command) == 0
    scores = json.loads(values.read_text())
    for score in scores.values():
        assert score['error'] < 0.3, 'a prediction of no noise has 1'
        assert score['estimate_psnr'] > score['noisy_psnr'] + 3
    assert [row.split('|')[1].strip() for row in capsys.readouterr().out.splitlines()[2:]] == list(scores)
    assert read_image(sheet).shape[2] == 3
    assert main([*command[:3], str(tmp_path), '--weights', str(tmp_path / 'absent')]) == 2
