"""The diffusion process of the 4-channel image: forward noising, reverse steps, sampling (paper eq. 2-8)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

NoisePredictor = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DiffusionConfig:
    """Linear variance schedule; timesteps count from 0 to ``timesteps - 1``.

    Attributes:
        timesteps: T, length of the chain.
        beta_start, beta_end: variance of the noise added by the first and the last step.
    """

    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 2e-2


class Diffusion:
    """Schedule and steps of a denoising diffusion model (DDPM); holds no weights."""

    def __init__(self, config: DiffusionConfig) -> None:
        self.config = config
        beta = torch.linspace(config.beta_start, config.beta_end, config.timesteps, dtype=torch.float64)
        self.beta = beta
        self.alpha = 1.0 - beta
        self.alpha_bar = torch.cumprod(self.alpha, dim=0)

    def mean_scale(self, timestep: int) -> float:
        """sqrt(alpha_bar_t): what is left of the image's amplitude at ``timestep`` (eq. 4)."""
        return float(self.alpha_bar[timestep].sqrt())

    def add_noise(self, image: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """Draw I_t from P(I_t | I_f), eq. 4: sqrt(alpha_bar_t) I_f + sqrt(1 - alpha_bar_t) Z.

        Args:
            image, noise: (B, C, H, W), image in [-1, 1].
            timestep: (B,) int64.
        """
        alpha_bar = _per_image(self.alpha_bar, timestep, image)
        return alpha_bar.sqrt() * image + (1.0 - alpha_bar).sqrt() * noise

    def posterior(self, noisy: Tensor, image: Tensor, timestep: int, before: int) -> tuple[Tensor, float]:
        """Mean (B, C, H, W) and variance of the state at ``before``, given ``noisy`` at ``timestep``: eq. 6 and 7.

        Args:
            noisy, image: (B, C, H, W), ``image`` what ``noisy`` is taken to be made of, see ``image_estimate``.
            timestep, before: ``before`` is the earlier one, -1 for the image itself.
        """
        alpha_bar = float(self.alpha_bar[timestep])
        earlier = float(self.alpha_bar[before]) if before >= 0 else 1.0
        alpha = alpha_bar / earlier
        mean = (earlier**0.5 * (1 - alpha) * image + alpha**0.5 * (1 - earlier) * noisy) / (1 - alpha_bar)
        return mean, (1 - earlier) / (1 - alpha_bar) * (1 - alpha)

    def sample(
        self, predict: NoisePredictor, shape: tuple[int, int, int, int], generator: torch.Generator, steps: int = 50
    ) -> Iterator[Tensor]:
        """Turn noise into images: the whole reverse chain from standard normal noise (B, C, H, W); see ``reverse``."""
        noise = torch.randn(shape, generator=generator)
        return self.reverse(predict, noise, self.config.timesteps - 1, generator, steps)

    def reverse(
        self, predict: NoisePredictor, state: Tensor, timestep: int, generator: torch.Generator, steps: int = 50
    ) -> Iterator[Tensor]:
        """Turn the noisy ``state`` (B, C, H, W) at ``timestep`` into images: eq. 5-7 on ``steps`` spaced timesteps.

        With every timestep kept this is ancestral sampling exactly as printed; fewer steps use the same Gaussian
        posterior between the kept timesteps (respaced DDPM), its image estimate clipped to [-1, 1].

        Yields:
            The state after each step; the last one is the image in [-1, 1].
        """
        kept = torch.linspace(0, timestep, steps).round().long().tolist()
        for index in reversed(range(steps)):
            predicted = predict(state, torch.full((state.shape[0],), kept[index], dtype=torch.long))
            image = self.image_estimate(state, predicted, kept[index]).clamp(-1, 1)
            state, variance = self.posterior(state, image, kept[index], kept[index - 1] if index else -1)
            if index:
                state = state + variance**0.5 * torch.randn(state.shape, generator=generator)
            yield state

    def image_estimate(self, noisy: Tensor, predicted_noise: Tensor, timestep: int) -> Tensor:
        """The image (B, C, H, W) that ``noisy`` at ``timestep`` was, if that noise is in it: eq. 4 solved for I_f."""
        alpha_bar = float(self.alpha_bar[timestep])
        image: Tensor = (noisy - (1 - alpha_bar) ** 0.5 * predicted_noise) / alpha_bar**0.5
        return image


def _per_image(schedule: Tensor, timestep: Tensor, like: Tensor) -> Tensor:
    return schedule.to(like.device)[timestep].to(like.dtype).reshape(-1, 1, 1, 1)
