"""Language acts here: a text embedding becomes scales and shifts of the fusion's features, and a say in its decision.

No linear layer of an embedding has a bias, so that the all-zero embedding (no text) changes nothing, bit for bit; last
layers start at zero, so that what is untrained changes nothing either.
"""

import torch.nn.functional as F
from torch import Tensor, nn


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
        sigma, mu = self.parameters_of_text(self.activation(self.hidden(text)))[:, :, None, None].chunk(2, dim=1)
        modulated: Tensor = (1.0 + sigma) * features + mu
        return modulated


class Emphasis(nn.Module):
    """Where a text wants the fusion to decide otherwise.

    Features that were learned for fusing hardly tell classes of things apart, and no scale can raise one of them. So a
    context looks around and is learned for texts; each text weighs its channels, and what is left of them changes the
    decision.
    """

    def __init__(self, text_dim: int, channels: int, wide: int, decisions: int, hidden: int = 128) -> None:
        super().__init__()
        self.context = Context(channels, wide)
        self.hidden = nn.Linear(text_dim, hidden, bias=False)
        self.activation = nn.SiLU()
        self.weights_of_text = nn.Linear(hidden, channels, bias=False)
        self.decide = nn.Conv2d(channels, decisions, 1, bias=False)
        nn.init.zeros_(self.decide.weight)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """(B, decisions, H, W) of ``features`` (B, C, H, W) and ``text`` (B, D); H and W are even."""
        weights = self.weights_of_text(self.activation(self.hidden(text)))[:, :, None, None]
        change: Tensor = self.decide(weights * self.context(features))
        return change


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


class LanguageModulation(nn.Module):
    """All that a text does to a fusion network.

    Attributes:
        stages: modulation of the features at each scale, finest first.
        emphasis: of the decision, from the coarsest features; None without a context.
    """

    def __init__(self, text_dim: int, widths: tuple[int, ...], context: int, decisions: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(SemanticModulation(text_dim, width) for width in widths)
        self.emphasis = Emphasis(text_dim, widths[-1], context, decisions) if context else None
