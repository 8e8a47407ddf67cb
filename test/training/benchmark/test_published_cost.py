"""Full-size published models with random weights: what their settings and counts are held to."""

import json
from pathlib import Path

import pytest
from tiny_depth import torch, transformers, write_glpn

from ldfusion_models.published.catalogue import KNOWN
from ldfusion_training.benchmark.published_cost import Architecture, measure_here, read_architectures
from ldfusion_training.cli import main


def test_every_known_model_has_settings_of_its_published_size() -> None:
    """Settings are from memory: as many parameters as the published file has bytes for, with 32 or 16 bits each."""
    by_name = {name: each for each in read_architectures() for name in each.models}
    assert by_name.keys() == {known.name for known in KNOWN}
    for known in KNOWN:
        architecture = by_name[known.name]
        if architecture.tower:
            continue  # The file holds the image tower as well.
        with torch.device('meta'):
            count = sum(parameter.numel() for parameter in architecture.make().parameters())
        # BLIP's words are in its file twice.
        count += 30524 * 768 if 'blip-' in known.name else 0
        assert min(abs(count * size / 1e6 / known.megabytes - 1) for size in (2, 4)) < 0.05, known.name


def test_costs_are_counted_and_measured(tmp_path: Path) -> None:
    config = json.loads((write_glpn(tmp_path) / 'config.json').read_text())
    tiny = Architecture(('owner/tiny',), (96, 64), config=config)
    cost = measure_here(tiny, 1, 1, 8.0)
    network = transformers.AutoModelForDepthEstimation.from_pretrained(tmp_path)
    assert cost.million_parameters == pytest.approx(sum(each.numel() for each in network.parameters()) / 1e6)
    operations = []

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        of_each = layer.in_features if isinstance(layer, torch.nn.Linear) else layer.weight[0].numel()
        operations.append(2 * output.numel() * of_each)

    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network(pixel_values=torch.zeros(1, 3, 64, 96))
    # Attention's own products come on top.
    assert 1.0 <= cost.gflop / (sum(operations) / 1e9) < 1.5
    assert cost.milliseconds
    assert cost.megabytes
    assert cost.megabytes > 100
    not_run = measure_here(tiny, 1, 1, 1e-6)
    assert 'not run' in not_run.remark
    assert not_run.milliseconds is None
    assert not_run.gflop == cost.gflop


def test_the_table_says_what_was_not_run_and_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['models', 'cost', 'nothing']) == 2
    assert 'ldfusion models list' in capsys.readouterr().err
    assert main(['models', 'cost', 'glpn', '--largest', '0.1']) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith('| vinvino02/glpn-kitti, vinvino02/glpn-nyu | 640x480; not run: weights of 0.2 GB')
    assert row.endswith('| 61 | 157 | - | - | - |')
