"""Language acts here: a text embedding becomes scales and shifts of what is seen, and so a mask of what the text names.

No linear layer of an embedding has a bias, so that the all-zero embedding (no text) changes nothing, bit for bit; last
layers start at zero, so that what is untrained changes nothing either.
"""

import torch.nn.functional as F
from torch import Tensor, nn

# Likelihoods of a class from which on it is taken to be there a little, and for sure.
LEAST_SURE, SURE = 0.8, 0.97


class SemanticModulation(nn.Module):
    """F' = (1 + sigma) * F + mu, with sigma and mu from an MLP of the text embedding (paper, section III.C)."""

    def __init__(self, text_dim: int, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Linear(text_dim, hidden, bias=False)
        self.activation = nn.SiLU()
        self.parameters_of_text = nn.Linear(hidden, 2 * channels, bias=False)
        nn.init.zeros_(self.parameters_of_text.weight)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Modulate ``features`` (B, C, H, W) by ``text`` (B, D)."""
        sigma, mu = (each[:, :, None, None] for each in self.of_text(text))
        modulated: Tensor = (1.0 + sigma) * features + mu
        return modulated

    def of_text(self, text: Tensor) -> tuple[Tensor, ...]:
        """sigma and mu (B, C) of ``text`` (B, D), in proportion to its length: a shorter embedding does less."""
        length = text.norm(dim=1, keepdim=True)
        direction = text / length.clamp(min=1e-6)
        parameters: Tensor = length * self.parameters_of_text(self.activation(self.hidden(direction)))
        return parameters.chunk(2, dim=1)


class Context(nn.Module):
    """Which classes of things each place shows, from its features and those around, at half their resolution."""

    # How far apart the places are that each layer brings together.
    REACHES = (1, 2, 4)

    def __init__(self, channels: int, wide: int, classes: int) -> None:
        super().__init__()
        self.own = nn.Conv2d(channels, wide, 1)
        self.halve = nn.Conv2d(channels, wide, 2, stride=2)
        self.around = nn.ModuleList(nn.Conv2d(wide, wide, 3, padding=reach, dilation=reach) for reach in self.REACHES)
        self.classes = nn.Conv2d(wide, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of ``features`` (B, C, H, W); H and W are even."""
        x = F.relu(self.halve(features))
        for layer in self.around:
            x = x + F.relu(layer(x))
        around = F.interpolate(x, scale_factor=2.0, mode='nearest')
        logits: Tensor = self.classes(F.relu(self.own(features) + around))
        return logits


class LanguageModulation(nn.Module):
    """How much of what is at each place a text names.

    Features that were learned for fusing hardly tell classes of things apart, so scales of them raise all things alike.
    A context learns the classes; the text modulates their likelihoods, and what that adds is where the text acts.
    """

    def __init__(self, text_dim: int, channels: int, wide: int, classes: int) -> None:
        super().__init__()
        self.context = Context(channels, wide, classes)
        self.semantics = SemanticModulation(text_dim, classes)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """About 0 to 1, (B, 1, H, W), of ``features`` (B, C, H, W) and ``text`` (B, D)."""
        sure = ((self.context(features).sigmoid() - LEAST_SURE) / (SURE - LEAST_SURE)).clamp(0.0, 1.0)
        named: Tensor = (self.semantics(sure, text) - sure).sum(dim=1, keepdim=True)
        return named
