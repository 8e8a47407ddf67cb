"""Weights that a stage starts from or builds upon: released ones, or what another run left."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import read_manifest
from ldfusion_training.runs.trainer import named_below, read_checkpoint

# Names the weights that came with the package.
RELEASED = 'released'


def load_weights(network: nn.Module, part: str, weights: str, kept: str = '') -> None:
    """Load one part's weights.

    Args:
        network: takes them.
        part: its name among released weights and in checkpoints.
        weights: ``released`` for those that came with the package, a folder of released weights, a single file of one,
            or a run's checkpoint, of which the averaged weights are taken. A checkpoint without this part must fit as
            it is, as that of the other depth branch does.
        kept: what of the network stays as it is: all whose names begin so; empty for nothing.

    Raises:
        InputError: missing, damaged, or not of such a network in this configuration.
    """
    path = Path(weights)
    if weights == RELEASED or path.is_dir():
        path = read_manifest(None if weights == RELEASED else path).verify(part)
    state = weights_in(path, part)
    # Of a checkpoint without this part, another's.
    state = state or {name.partition('.')[2]: tensor for name, tensor in read_checkpoint(path)['average'].items()}
    if kept:
        state = {name: tensor for name, tensor in state.items() if not name.startswith(kept)}
        state |= {name: tensor for name, tensor in network.state_dict().items() if name.startswith(kept)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())
        raise InputError(f'{path}: does not hold {part} weights of this configuration ({reason})') from error


def weights_in(path: Path, part: str) -> dict[str, Tensor]:
    """One part's weights in a checkpoint, of which the averaged ones are taken, or in a file of released ones.

    Raises:
        InputError: missing or damaged.
    """
    if path.suffix != '.safetensors':
        return named_below(read_checkpoint(path)['average'], part)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f'{path}: not readable as weights ({error})') from error
    return tensors
