"""Engines prove themselves on the pair that lies beside the weights; the wrong one is refused, the next best serves."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('onnx')

from deviating import FACTOR, wrong_depth

from ldfusion_models.engines import create_engine
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
from ldfusion_models.engines.proof import Reference
from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of
from ldfusion_models.graph.export import export_onnx
from ldfusion_models.graph.manifest import SHIPPED, read_manifest, write_manifest


@pytest.fixture(scope='module')
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wrong_depth(tmp_path_factory.mktemp('wrong') / 'weights')


def test_the_shipped_pair_is_a_scene_with_what_the_shipped_weights_make_of_it() -> None:
    reference = Reference.read(None)
    height, width = reference.visible.shape[1:3]
    assert reference.thermal.shape == (1, height, width, 1)
    assert height % 32, 'padding is proved, too'
    assert (SHIPPED / 'reference.safetensors').stat().st_size < 320_000
    assert reference.visible.std() > 30
    assert reference.thermal.std() > 30
    assert np.ptp(reference.expected.depth) > 20, 'metres, near and far'
    without_text = OnnxRuntimeEngine().run(reference.visible, reference.thermal, 0 * reference.text)
    assert (without_text.fused != reference.expected.fused).any(), 'the text takes part'
    deviation = reference.deviation(OnnxRuntimeEngine())
    assert deviation.fused_p99_9 == 0
    assert deviation.depth_p99 < 1e-4


@pytest.mark.parametrize('name', ['onnxruntime', 'torch'])
def test_every_engine_says_how_near_it_is(name: str) -> None:
    engine = create_engine(name)
    assert engine.proof.startswith(f'{engine.library}, beside ONNX Runtime on the reference pair: fused differs by 0 ')
    assert engine.library.split()[-1][0].isdigit()


def test_an_engine_that_deviates_is_refused_by_name_and_version_with_the_deviation(wrong: Path) -> None:
    import onnxruntime

    with pytest.raises(InputError, match=rf'ONNX Runtime {onnxruntime.__version__} is too far from') as caught:
        create_engine('onnxruntime', wrong)
    assert f'depth by {FACTOR - 1:.2%} (median)' in str(caught.value)


def test_the_next_best_engine_serves(wrong: Path) -> None:
    engine = create_engine('auto', wrong)
    assert engine.name == 'torch'
    assert 'no onnxruntime: ONNX Runtime' in engine.reason
    assert Reference.read(None).deviation(engine).is_tolerable


def test_where_every_engine_deviates_none_serves(tmp_path: Path) -> None:
    """Weights that are whole, but not those of the pair."""
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(SHIPPED, tmp_path / 'weights')
    manifest = read_manifest(folder)
    path = manifest.verify('fusion')
    save_file({name: array * np.float16(0.9) for name, array in load_file(path).items()}, path)
    parts = {**manifest.parts, 'fusion': {**manifest.parts['fusion'], 'sha256': sha256_of(path)}}
    write_manifest(dataclasses.replace(manifest, parts=parts))
    with pytest.raises(InputError, match='no engine can run here') as caught:
        create_engine('auto', folder)
    for library in ('ONNX Runtime', 'PyTorch'):
        assert f': {library} ' in str(caught.value)


@pytest.mark.parametrize('damage', ['flipped', 'absent', 'not listed'])
def test_a_pair_that_is_damaged_is_named(damage: str, tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / 'weights')
    path = folder / 'reference.safetensors'
    if damage == 'flipped':
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == 'absent':
        path.unlink()
    else:
        write_manifest(dataclasses.replace(read_manifest(folder), reference={}))
    with pytest.raises(InputError, match='reference'):
        create_engine('onnxruntime', folder)


def test_an_exported_file_is_run_unproved_by_onnxruntime(tmp_path: Path) -> None:
    export_onnx(tmp_path / 'graph.onnx')
    assert create_engine('onnxruntime', tmp_path / 'graph.onnx').proof == ''
