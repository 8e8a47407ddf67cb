"""Several camera pairs from one launch: what each gets of the arguments."""

from pathlib import Path

import pytest

from ldfusion_models.errors import InputError
from ldfusion_ros.rig_files import read_rigs, threads_of

GIVEN = {'rig': '', 'namespace': '', 'camera': 'lepton', 'engine': 'onnxruntime', 'guidance': 'false', 'view': '8765'}


def test_each_pair_has_its_own_arguments_and_those_of_all(tmp_path: Path) -> None:
    front, rear = tmp_path / 'front.yaml', tmp_path / 'rear.yaml'
    front.write_text('camera: boson,realsense\nguidance: true\n')
    rear.write_text('namespace: /robot/back\n')
    first, second = read_rigs(GIVEN | {'rig': f'{front}, {rear}'})
    assert (first['namespace'], first['camera'], first['guidance']) == ('front', 'boson,realsense', 'True')
    assert (second['namespace'], second['camera'], second['engine']) == ('/robot/back', 'lepton', 'onnxruntime')
    assert read_rigs(GIVEN) == [GIVEN]
    front.write_text('camera:\n')
    (inside,) = read_rigs(GIVEN | {'rig': str(front), 'namespace': '/robot'})
    assert (inside['namespace'], inside['camera']) == ('robot/front', ''), 'within that of all; nothing is no word'


def test_processors_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(6)))
    shares = [threads_of({'threads': ''}, pairs) for pairs in (1, 2, 4, 9)]
    assert shares == [{}, {'threads': 3}, {'threads': 1}, {'threads': 1}]
    assert threads_of({'threads': '2'}, 4) == threads_of({'threads': '2'}, 1) == {'threads': 2}
    with pytest.raises(InputError, match="'two': a whole number"):
        threads_of({'threads': 'two'}, 1)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ('camra: lepton', 'camra cannot be said of one pair; known are namespace, camera, engine'),
        ('view: 8766', 'view cannot be said of one pair'),
        ('camera: [lepton, realsense]', 'camera: one value is needed'),
        ('- lepton', 'arguments of ldfusion.launch.py'),
        ('{', 'cannot be read as YAML'),
        ('namespace: ""', "2 pairs in namespace ''"),
    ],
)
def test_files_that_are_no_pair_are_named(tmp_path: Path, content: str, words: str) -> None:
    first, second = tmp_path / 'a.yaml', tmp_path / 'b.yaml'
    first.write_text(content)
    second.write_text('namespace: ""')
    with pytest.raises(InputError, match=words):
        read_rigs(GIVEN | {'rig': f'{first},{second}'})
