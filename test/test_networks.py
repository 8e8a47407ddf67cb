"""Promises of the networks that training and engines build on."""

import pytest

torch = pytest.importorskip('torch')

from ldfusion_models.denoiser import Denoiser, DenoiserConfig  # noqa: E402
from ldfusion_models.depth import DepthConfig, DepthNetwork, DepthOutput, combine, convex_upsample  # noqa: E402
from ldfusion_models.frame_graph import FrameConfig, FrameGraph  # noqa: E402
from ldfusion_models.fusion import pyramids, weigh_pyramids  # noqa: E402
from ldfusion_models.modulation import SemanticModulation  # noqa: E402

GIGA = 1e9


def randomise(network: torch.nn.Module) -> torch.nn.Module:
    """Small random values also where training starts at zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@torch.no_grad()
def test_denoiser_gives_noise_of_the_images_shape_and_features_of_three_scales() -> None:
    denoiser = randomise(Denoiser(DenoiserConfig()))
    image, timestep = torch.randn(2, 4, 48, 64), torch.tensor([3, 700])
    assert denoiser(image, timestep).shape == image.shape
    shapes = [tuple(feature.shape) for feature in denoiser.features(image, timestep)]
    assert shapes == [(2, 32, 24, 32), (2, 64, 12, 16), (2, 96, 6, 8)]


@torch.no_grad()
def test_denoiser_at_a_pixel_does_not_depend_on_the_size_of_the_image() -> None:
    denoiser = randomise(Denoiser(DenoiserConfig(widths=(8, 8, 8))))
    image, timestep = torch.randn(1, 4, 160, 160), torch.tensor([50])
    whole, part = denoiser(image, timestep), denoiser(image[..., :120, :120], timestep)
    torch.testing.assert_close(whole[..., :40, :40], part[..., :40, :40], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_modulation_is_the_papers_formula_and_the_identity_without_text() -> None:
    modulation = randomise(SemanticModulation(text_dim=5, channels=3))
    features, text = torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    torch.testing.assert_close(modulation(features, torch.zeros(2, 5)), features)
    hidden = torch.nn.functional.silu(text @ modulation.hidden.weight.T)
    sigma, mu = (hidden @ modulation.parameters_of_text.weight.T).chunk(2, dim=1)
    expected = (1 + sigma[:, :, None, None]) * features + mu[:, :, None, None]
    torch.testing.assert_close(modulation(features, text), expected)


@torch.no_grad()
def test_pyramids_add_up_to_what_the_weights_ask_for() -> None:
    luma, thermal = torch.rand(1, 1, 32, 48), torch.rand(1, 1, 32, 48)
    levels = pyramids(torch.cat([luma, thermal], dim=1), 3)
    shapes = [(3, 4, 6), (2, 8, 12), (4, 16, 24)]
    equal = [torch.zeros(1, *shape) for shape in shapes]
    torch.testing.assert_close(weigh_pyramids(levels, equal), luma + thermal)
    # Sigmoid(+-50) is 1 or 0: twice the visible image at every level, nothing of the thermal one, and an offset.
    one_sided = [
        torch.tensor([50.0, -50.0, 0.25, 0.0][: shape[0]]).reshape(1, -1, 1, 1).repeat(1, 1, *shape[1:])
        for shape in shapes
    ]
    one_sided[-1] = one_sided[-1][:, [0, 1, 0, 1]]
    torch.testing.assert_close(weigh_pyramids(levels, one_sided), 2 * luma + 0.25)


@torch.no_grad()
def test_depth_stays_in_its_range_and_covers_the_image() -> None:
    config = DepthConfig(minimum=2.0, maximum=40.0)
    output = DepthNetwork(config).eval()(torch.rand(1, 3, 64, 128))
    assert output.log_depth.shape == output.variance.shape == (1, 1, 64, 128)
    depth = output.log_depth.exp()
    assert float(depth.min()) > 2.0
    assert float(depth.max()) < 40.0
    assert float(output.variance.min()) >= 0.0


def test_convex_upsampling_repeats_the_neighbour_that_all_weight_is_on() -> None:
    coarse = torch.arange(12.0).reshape(1, 1, 3, 4)
    logits = torch.full((1, 9 * 4, 3, 4), -200.0)
    logits[:, 4 * 4 : 5 * 4] = 200.0
    expected = coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(convex_upsample(coarse, logits, 2), expected)
    flat = convex_upsample(torch.full((1, 2, 3, 4), 7.0), torch.randn(1, 36, 3, 4), 2)
    torch.testing.assert_close(flat, torch.full((1, 2, 6, 8), 7.0))


def test_the_surer_branch_decides() -> None:
    near, far = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    sure, unsure = torch.full((1, 1, 1, 1), 1e-4), torch.full((1, 1, 1, 1), 10.0)
    assert float(combine(DepthOutput(near, sure), DepthOutput(far, unsure))) == pytest.approx(0.0, abs=1e-3)
    assert float(combine(DepthOutput(near, unsure), DepthOutput(far, sure))) == pytest.approx(1.0, abs=1e-3)
    assert float(combine(DepthOutput(near, sure), DepthOutput(far, sure))) == pytest.approx(0.5)


@torch.no_grad()
def test_frame_graph_is_within_the_budget_and_keeps_any_size() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    graph = FrameGraph(FrameConfig()).eval()
    visible = torch.randint(0, 255, (1, 480, 640, 3), dtype=torch.uint8)
    text = torch.zeros(1, graph.config.fusion.text_dim)
    with FlopCounterMode(display=False) as counter:
        graph(visible, visible[..., :1], text)
    assert counter.get_total_flops() < 60 * GIGA
    fused, depth = graph(visible[:, :37, :51], visible[:, :37, :51, :1], text)
    assert (fused.shape, fused.dtype) == ((1, 37, 51, 3), torch.uint8)
    assert (depth.shape, depth.dtype) == ((1, 37, 51), torch.float32)
