"""Language acts here: a text embedding becomes scales and shifts of the fusion features."""

import torch.nn.functional as F
from torch import Tensor, nn


class SemanticModulation(nn.Module):
    """F' = (1 + sigma) * F + mu, with sigma and mu from an MLP of the text embedding (paper, section III.C).

    No linear layer has a bias, so that the all-zero embedding (no text) gives sigma = mu = 0 exactly; the last
    layer starts at zero, so that an untrained modulation is the identity too.

    Features that were learned for fusing hardly tell classes of things apart, and no scale can raise one of them. With
    ``context`` sigma scales features that look around and were learned for texts: F' = F + sigma * context(F) + mu.
    Without text they are not seen.
    """

    def __init__(self, text_dim: int, channels: int, hidden: int = 128, context: int = 0) -> None:
        super().__init__()
        self.hidden = nn.Linear(text_dim, hidden, bias=False)
        self.activation = nn.SiLU()
        self.parameters_of_text = nn.Linear(hidden, 2 * channels, bias=False)
        nn.init.zeros_(self.parameters_of_text.weight)
        self.context = Context(channels, context) if context else None

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Modulate ``features`` (B, C, H, W) by ``text`` (B, D)."""
        sigma, mu = self.parameters_of_text(self.activation(self.hidden(text)))[:, :, None, None].chunk(2, dim=1)
        if self.context is None:
            modulated: Tensor = (1.0 + sigma) * features + mu
        else:
            modulated = features + (sigma * self.context(features) + mu)
        return modulated


class Context(nn.Module):
    """What is at each place, from its features and those around, at half their resolution; H and W are even."""

    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.own = nn.Conv2d(channels, channels, 1)
        self.halve = nn.Conv2d(channels, wide, 4, stride=2, padding=1)
        self.around = nn.ModuleList(nn.Conv2d(wide, wide, 3, padding=1) for _ in range(2))
        self.join = nn.Conv2d(wide, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        x = F.relu(self.halve(features))
        for layer in self.around:
            x = x + F.relu(layer(x))
        around = F.interpolate(self.join(x), scale_factor=2.0, mode='nearest')
        known: Tensor = F.relu(self.own(features) + around)
        return known
