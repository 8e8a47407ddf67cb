"""``ldfusion burst``: one file with all that a training needs, run somewhere else, for a time instead of steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')
pytest.importorskip('onnx')

from ldfusion_models.files import write_image  # noqa: E402
from ldfusion_training.benchmark.peers import PEERS  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.runs.trainer import CHECKPOINT, TrainerConfig, read_checkpoint  # noqa: E402


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, with the recipe of a tiny denoiser, its data one folder up."""
    work = tmp_path / 'work'
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    write_image(tmp_path / 'data/visible/a.png', image)
    write_image(tmp_path / 'data/thermal/a.png', np.ascontiguousarray(image[..., 0]))
    recipe = {
        'trainer': {'batch_size': 1, 'warmup': 1, 'steps': 5},
        'data': {'folders': ['../data'], 'crop': 32},
        'denoiser': {'widths': [8, 8, 8, 8], 'embedding': 16},
    }
    work.mkdir()
    (work / 'tiny.yaml').write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def packed(work: Path) -> Path:
    """A packed run of five steps."""
    assert main(['train', 'diffusion', '--config', 'tiny.yaml', '--output', 'run']) == 0
    assert main(['burst', 'diffusion', '--config', 'tiny.yaml', '--output', 'run', '--pack', 'kit.tar']) == 0
    return work / 'kit.tar'


def test_a_packed_run_goes_on_elsewhere_and_comes_back(packed: Path, tmp_path: Path) -> None:
    there = tmp_path / 'there'
    there.mkdir()
    subprocess.run(['tar', '-xf', packed, '-C', there], check=True)
    (tmp_path / 'data').rename(tmp_path / 'moved')
    # Nothing of this checkout is on the path there.
    environment = {**os.environ, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}', 'PYTHONPATH': ''}
    words = ['sh', str(there / 'burst.sh'), '--minutes', '0.01', '--cpu']
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd='/', timeout=300)
    assert done.returncode == 0, done.stderr
    out = there / 'here/out'
    times = json.loads((out / 'latency.json').read_text())['milliseconds']
    assert set(times) == {'torch', *PEERS}
    assert all(time['64x48']['p50'] > 0 for time in times.values())
    assert read_checkpoint(out / CHECKPOINT)['step'] > 5, 'went on from the packed checkpoint'
    # Back here, the run may be gone on with.
    (tmp_path / 'moved').rename(tmp_path / 'data')
    (out / CHECKPOINT).replace(packed.parent / 'run' / CHECKPOINT)
    steps = read_checkpoint(Path('run') / CHECKPOINT)['step'] + 1
    words = 'train diffusion --config tiny.yaml --output run --resume --set'.split()  # noqa: SIM905
    assert main([*words, f'trainer.steps={steps}']) == 0


@pytest.mark.usefixtures('work')
def test_what_can_not_be_packed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ['burst', 'diffusion', '--config', 'tiny.yaml', '--pack', 'other.tar']
    assert main([*words, '--wheels', 'absent.whl']) == 2
    assert 'absent.whl' in capsys.readouterr().err
    assert main([*words, '--set', f'data.folders=[{tmp_path / "data"}]']) == 2
    assert 'relative to this folder' in capsys.readouterr().err
    assert not Path('other.tar').exists()


def test_the_learning_rate_falls_with_time() -> None:
    config = TrainerConfig(steps=1_000_000, minutes=5, warmup=10, learning_rate=1.0)
    assert config.learning_rate_at(500, 0.0) == pytest.approx(1.0, abs=1e-3)
    assert config.learning_rate_at(500, 0.5) == pytest.approx(0.505, abs=1e-3)
    assert config.learning_rate_at(500, 1.2) == pytest.approx(0.01, abs=1e-3)
    assert config.learning_rate_at(4, 1.0) == 0.5, 'the rise is by steps'
