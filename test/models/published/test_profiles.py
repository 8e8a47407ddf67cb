"""Profiles: a few of the nodes' parameters by one name; a parameter of one's own wins."""

import json
from pathlib import Path

import pytest
import yaml

from ldfusion_models.errors import InputError
from ldfusion_models.published.profiles import PROFILES, read_profile, with_profile
from ldfusion_models.published.store import folder_of, graph_of, local_model
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_training.bag_evaluation.settings import node_settings
from ldfusion_training.cli import main


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('LDFUSION_MODELS', str(tmp_path / 'store'))


def profile_file(folder: Path, **settings: object) -> str:
    path = folder / 'my.yaml'
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def test_a_profile_gives_what_is_left_at_its_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mine = profile_file(tmp_path, depth='owner/depth', depth_source='thermal', captioner='owner/words')
    assert with_profile(NodeSettings(profile=mine)) == NodeSettings(
        profile=mine, depth='owner/depth', depth_source='thermal'
    )
    assert with_profile(NodeSettings(profile=mine, depth='owner/other')).depth == 'owner/other'
    assert with_profile(NodeSettings(profile='embedded')) == NodeSettings(profile='embedded')
    assert with_profile(NodeSettings(profile='paper')).weights_folder == Path('paper')
    robot = tmp_path / 'robot.yaml'
    robot.write_text(yaml.safe_dump({'/**/fusion_node': {'ros__parameters': {'profile': mine, 'threads': 1}}}))
    assert node_settings(robot).depth == 'owner/depth', 'offline as on the robot'
    assert not caplog.messages
    robot.write_text(yaml.safe_dump({'/**/fusion_node': {'ros__parameters': {'profile': 'outdoor'}}}))
    assert node_settings(robot).depth == ''
    (line,) = caplog.messages
    assert f'correcting_depth: {PROFILES["outdoor"].correcting_depth} has no part here' in line


def test_what_is_no_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='known are embedded, outdoor, indoor'):
        read_profile('moon')
    with pytest.raises(InputError, match=r"my\.yaml: Profile has no setting 'dept'; known are .*depth_source"):
        read_profile(profile_file(tmp_path, dept='owner/depth'))
    with pytest.raises(InputError, match=r"depth_source is 'bogus'; choose one of fused"):
        read_profile(profile_file(tmp_path, depth_source='bogus'))
    with pytest.raises(InputError, match=r'weights: \[1\] is not of type str'):
        read_profile(profile_file(tmp_path, weights=[1]))
    with pytest.raises(InputError, match='cannot be read'):
        read_profile(str(tmp_path / 'none.yaml'))
    with pytest.raises(InputError, match=r'~nosuchuser/my\.yaml: no such home'):
        read_profile('~nosuchuser/my.yaml')


def test_a_home_folder_may_be_named_in_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    words = tmp_path / 'words'
    graph_of(words, 'fused').parent.mkdir()
    graph_of(words, 'fused').touch()
    assert NodeSettings(weights='~/mine').weights_folder == tmp_path / 'mine'
    assert NodeSettings(depth='~/words').weights_folder == graph_of(words, 'fused')
    assert local_model('~/words') == words


def test_use_says_what_is_missing_one_after_the_other_and_then_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, network = tmp_path / 'robot.yaml', PROFILES['outdoor'].correcting_depth
    use = ['models', 'use', 'outdoor', '--output', str(output)]
    assert main(use) == 2
    assert f'ldfusion models fetch {network}' in capsys.readouterr().err
    graph = graph_of(folder_of(network), 'fused')
    graph.parent.mkdir(parents=True)
    assert main(use) == 2
    assert f'ldfusion models prepare {network}' in capsys.readouterr().err
    graph.touch()
    assert main(use) == 2
    assert f'ldfusion models fetch {PROFILES["outdoor"].captioner}' in capsys.readouterr().err
    assert not output.exists()
    words = tmp_path / 'words'
    words.mkdir()
    (words / 'config.json').write_text(json.dumps({'architectures': ['BlipForConditionalGeneration']}))
    assert main(['models', 'use', str(words), '--output', str(output)]) == 0
    assert yaml.safe_load(output.read_text()) == {'/**/guidance_node': {'ros__parameters': {'captioner': str(words)}}}
    assert main(['models', 'use', 'paper', '--output', str(output)]) == 0
    assert yaml.safe_load(output.read_text()) == {'/**/fusion_node': {'ros__parameters': {'weights': 'paper'}}}
    assert main(['models', 'use', 'embedded', '--output', str(output)]) == 0
    assert yaml.safe_load(output.read_text()) == {}


def test_weights_of_a_profile_are_those_of_the_fusion_only(tmp_path: Path) -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
    from ldfusion_ros.parts.fusion_parameters import FusionParameters
    from ldfusion_ros.parts.guidance_parameters import GuidanceParameters

    mine = profile_file(tmp_path, weights='exported.onnx', captioner='owner/words', correcting_depth='owner/depth')
    expected = FusionParameters(profile=mine, weights='exported.onnx', correcting_depth='owner/depth')
    assert with_profile(FusionParameters(profile=mine)) == expected
    assert with_profile(GuidanceParameters(profile=mine)) == GuidanceParameters(profile=mine, captioner='owner/words')
