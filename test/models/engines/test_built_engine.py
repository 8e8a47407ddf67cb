"""Engines that are built for a size in the background: frames go on, and the engine changes between two of them.

The builder here is a real one: ONNX Runtime folds the graph for the size, and the file is kept, as TensorRT keeps its
own. A gate holds the build until the test lets it go on.
"""

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from deviating import wrong_depth

from ldfusion_models.engines import EngineFailedError, FrameOutput, create_engine
from ldfusion_models.engines.built_engine import BuiltEngine, Report, Size
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
from ldfusion_models.engines.proof import Reference
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import export_onnx

pytest.importorskip('onnx')
TEXT = np.zeros((1, 64), np.float32)


class Files:
    """Graphs of one size each, exported to a folder."""

    name, library, device, precision = 'files', 'Files 1.0', 'cpu', 'fp32'

    def __init__(self, folder: Path, failure: Exception | None = None, weights: Path | None = None) -> None:
        self.info = create_engine('onnxruntime').info
        self.gate = threading.Event()
        self.started = threading.Event()
        self.builds: list[Size] = []
        self._folder, self._failure, self._weights = folder, failure, weights

    def load(self, size: Size) -> OnnxRuntimeEngine | None:
        path = self._path(size)
        return OnnxRuntimeEngine(path) if path.is_file() else None

    def build(self, size: Size, report: Report) -> OnnxRuntimeEngine:
        self.builds.append(size)
        report('half done')
        self.started.set()
        assert self.gate.wait(60)
        if self._failure:
            raise self._failure
        export_onnx(self._path(size), self._weights, size)
        return OnnxRuntimeEngine(self._path(size))

    def _path(self, size: Size) -> Path:
        return self._folder / f'{size[0]}x{size[1]}.onnx'


def built(builder: Files) -> BuiltEngine:
    stand_in = OnnxRuntimeEngine()
    return BuiltEngine(builder, stand_in, lambda size: Reference.compute(stand_in, size))


def frame(
    width: int = 64, height: int = 48
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    image = np.random.default_rng(0).integers(0, 256, (1, height // 8, width // 8, 3), np.uint8)
    image = image.repeat(8, axis=1).repeat(8, axis=2)
    return image, image[..., :1].copy(), TEXT


def assert_same(first: FrameOutput, second: FrameOutput) -> None:
    assert np.abs(first.fused.astype(int) - second.fused).max() <= 1
    np.testing.assert_allclose(first.depth, second.depth, rtol=1e-3)


def finish() -> None:
    """Wait until the thread that builds has ended."""
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(60)
    assert not any(thread.name == 'engine build' for thread in threading.enumerate())


def test_the_engine_changes_between_two_frames_when_the_build_ends(tmp_path: Path) -> None:
    builder = Files(tmp_path)
    engine = built(builder)
    engine.reason = 'best engine here'
    first = engine.run(*frame())
    assert builder.started.wait(60)
    for _ in range(3):
        assert_same(engine.run(*frame()), first)
        assert engine.name == 'onnxruntime'
        assert engine.reason == 'best engine here; files is being built for 64x48: half done'
    builder.gate.set()
    finish()
    assert engine.name == 'onnxruntime', 'nothing changes but with a frame'
    assert_same(engine.run(*frame()), first)
    assert (engine.name, engine.reason) == ('files', 'best engine here')
    assert builder.builds == [(64, 48)]


def test_each_size_is_built_once_and_one_after_the_other(tmp_path: Path) -> None:
    builder = Files(tmp_path)
    engine = built(builder)
    engine.run(*frame())
    assert engine.run(*frame(96, 64)).fused.shape == (1, 64, 96, 3)
    assert builder.started.wait(60)
    assert builder.builds == [(64, 48)], 'one build at a time'
    builder.gate.set()
    finish()
    engine.run(*frame(96, 64))
    finish()
    for width, height in ((96, 64), (64, 48), (96, 64)):
        assert engine.run(*frame(width, height)).depth.shape == (1, height, width)
        assert engine.name == 'files'
    assert builder.builds == [(64, 48), (96, 64)]
    again = built(Files(tmp_path))
    again.run(*frame())
    assert again.name == 'files', 'a built engine is found again'


@pytest.mark.parametrize(
    ('failure', 'words'),
    [
        (EngineFailedError('no memory for tactics'), 'no memory for tactics'),
        (InputError('folder is read-only'), 'folder is read-only'),
        (OSError('no space left on device'), 'OSError: no space left on device'),
    ],
)
def test_a_build_that_fails_leaves_the_stand_in_and_says_why(
    failure: Exception, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    builder = Files(tmp_path, failure)
    engine = built(builder)
    before = engine.run(*frame())
    builder.gate.set()
    finish()
    assert_same(engine.run(*frame()), before)
    assert (engine.name, engine.reason) == ('onnxruntime', f'no files: {words}')
    assert 'onnxruntime goes on' in caplog.text
    engine.run(*frame(96, 64))
    assert builder.builds == [(64, 48)], 'it is not tried again'


@pytest.mark.parametrize('is_there', [False, True], ids=['newly built', 'found'])
def test_an_engine_that_deviates_is_refused_and_the_stand_in_goes_on(is_there: bool, tmp_path: Path) -> None:
    """As TensorRT 10.3 does, of some networks: it builds them without an error, and gives wrong depth."""
    builder = Files(tmp_path / 'built', weights=wrong_depth(tmp_path / 'weights'))
    builder.gate.set()
    if is_there:
        builder.build((64, 48), print)
    engine = built(builder)
    before = engine.run(*frame())
    finish()
    for _ in range(2):
        assert_same(engine.run(*frame()), before)
        assert engine.name == 'onnxruntime'
    words = 'no files: Files 1.0 is too far from ONNX Runtime on the reference pair: fused differs by 0 levels'
    assert engine.reason.startswith(words)
    assert 'depth by 19.' in engine.reason or 'depth by 20.' in engine.reason
    assert builder.builds == [(64, 48)], 'it is not tried again'


def test_an_engine_that_is_near_says_how_near(tmp_path: Path) -> None:
    builder = Files(tmp_path)
    builder.gate.set()
    builder.build((64, 48), print)
    engine = built(builder)
    engine.run(*frame())
    assert engine.proof.startswith('Files 1.0, beside ONNX Runtime on the reference pair: fused differs by 0 levels')
    assert engine.library == 'Files 1.0'
