"""Language acts here: a text embedding becomes scales and shifts of the fusion features."""

from torch import Tensor, nn


class SemanticModulation(nn.Module):
    """F' = (1 + sigma) * F + mu, with sigma and mu from an MLP of the text embedding (paper, section III.C).

    No linear layer has a bias, so that the all-zero embedding (no text) gives sigma = mu = 0 exactly; the last
    layer starts at zero, so that an untrained modulation is the identity too.
    """

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
