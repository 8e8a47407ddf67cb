"""From a checkpoint to weights that the pipeline loads."""

from pathlib import Path

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('onnx')

from ldfusion_models.engines import create_engine  # noqa: E402
from ldfusion_models.graph.frame_graph import FrameConfig, FrameGraph  # noqa: E402
from ldfusion_models.graph.manifest import load_frame_graph, read_manifest  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint with random weights of the fusion network."""
    torch.manual_seed(5)
    weights = FrameGraph(FrameConfig()).fusion.state_dict()
    path = tmp_path / 'checkpoint.pt'
    torch.save({'step': 1, 'average': {f'fusion.{name}': torch.randn_like(w) for name, w in weights.items()}}, path)
    return path


def test_released_weights_are_those_of_the_checkpoint_in_half_precision(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'weights'
    words = ['release', '--checkpoint', str(checkpoint), '--output', str(folder), '--part', 'fusion']
    assert main([*words, '--fact', 'data=made up']) == 0
    graph, manifest = load_frame_graph(folder)
    assert manifest.parts['fusion']['data'] == 'made up'
    average = torch.load(checkpoint, weights_only=True)['average']
    for name, tensor in graph.fusion.state_dict().items():
        torch.testing.assert_close(tensor, average[f'fusion.{name}'].half().float(), rtol=0, atol=0)
    assert create_engine('onnxruntime', folder).proof, 'the pair is recorded with the new weights'
    before = read_manifest(folder).weights_id
    assert main([*words, '--fact', 'data=made up']) == 0
    assert read_manifest(folder).weights_id == before, 'the same weights have the same name'


def test_several_runs_and_released_weights_are_released_as_their_mean(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    other = tmp_path / 'other.pt'
    torch.save({**content, 'average': {name: 3 * w for name, w in content['average'].items()}}, other)
    folder = tmp_path / 'weights'
    words = ['release', '--output', str(folder), '--part', 'fusion', '--checkpoint', str(checkpoint)]
    for more, factor in (other, 2), (folder / 'fusion.safetensors', 1.5):
        assert main([*words, str(more)]) == 0
        for name, tensor in load_frame_graph(folder)[0].fusion.state_dict().items():
            expected = (factor * content['average'][f'fusion.{name}']).half().float()
            torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ('words', 'message'),
    [(['--part', 'denoiser'], 'denoiser'), (['--part', 'fusion', '--fact', 'author=me'], 'author')],
)
def test_what_cannot_be_released_is_named(
    words: list[str], message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['release', '--checkpoint', str(checkpoint), '--output', str(tmp_path / 'weights'), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'weights').exists()
