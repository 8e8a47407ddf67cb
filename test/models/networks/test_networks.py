"""Promises of the networks that training and engines build on."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from ldfusion_models.graph.frame_graph import FrameConfig, FrameGraph  # noqa: E402
from ldfusion_models.networks.denoiser import Denoiser, DenoiserConfig  # noqa: E402
from ldfusion_models.networks.depth import DepthConfig, DepthNetwork, DepthOutput, combine, convex_upsample  # noqa: E402
from ldfusion_models.networks.fusion import FusionConfig, FusionNetwork, decide, luminance  # noqa: E402
from ldfusion_models.networks.modulation import SemanticModulation  # noqa: E402
from ldfusion_models.networks.student import FeatureStudent, StudentConfig  # noqa: E402

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
def test_student_gives_features_of_the_denoisers_shapes_for_a_fifth_of_its_operations() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    student, denoiser = FeatureStudent(StudentConfig(), (32, 64, 96)), Denoiser(DenoiserConfig())
    visible, thermal = torch.rand(1, 3, 480, 640), torch.rand(1, 1, 480, 640)
    operations, shapes = [], []
    for features in (
        lambda: student(visible, thermal),
        lambda: denoiser.features(torch.cat([visible, thermal], dim=1), torch.tensor([50])),
    ):
        with FlopCounterMode(display=False) as counter:
            shapes.append([tuple(feature.shape) for feature in features()])
        operations.append(counter.get_total_flops())
    assert shapes[0] == shapes[1]
    assert operations[0] < 0.2 * operations[1]


@torch.no_grad()
def test_modulation_is_the_papers_formula_and_the_identity_without_text() -> None:
    modulation = randomise(SemanticModulation(text_dim=5, channels=3))
    features, text = torch.randn(2, 3, 4, 4), torch.nn.functional.normalize(torch.randn(2, 5))
    assert torch.equal(modulation(features, torch.zeros(2, 5)), features)
    hidden = torch.nn.functional.silu(text @ modulation.hidden.weight.T)
    sigma, mu = (hidden @ modulation.parameters_of_text.weight.T).chunk(2, dim=1)
    expected = (1 + sigma[:, :, None, None]) * features + mu[:, :, None, None]
    torch.testing.assert_close(modulation(features, text), expected)
    # A shorter embedding does less.
    torch.testing.assert_close(modulation(features, 0.2 * text) - features, 0.2 * (expected - features))


def zero_features(height: int, width: int) -> list[torch.Tensor]:
    return [torch.zeros(1, channels, height // s, width // s) for channels, s in ((32, 2), (64, 4), (96, 8))]


@torch.no_grad()
def test_fusion_shows_what_only_one_source_sees_and_keeps_the_colours() -> None:
    visible, thermal = torch.full((1, 3, 64, 96), 0.4), torch.full((1, 1, 64, 96), 0.3)
    visible[:, 0] += 0.1
    visible[:, :, 16:48:4, 8:40] = 0.6
    thermal[:, :, 24:40, 60:80] = 0.8
    fused = FusionNetwork(FusionConfig()).eval()(visible, thermal, zero_features(64, 96), torch.zeros(1, 64))
    assert float(luminance(fused)[0, 0, 28:36, 64:76].mean() - luminance(fused)[0, 0, 28:36, 48:54].mean()) > 0.3
    stripes, between = (luminance(fused)[0, 0, rows, 12:36].mean() for rows in (slice(20, 44, 4), slice(22, 44, 4)))
    assert float((stripes - between).abs()) > 0.1
    torch.testing.assert_close(fused - luminance(fused), visible - luminance(visible), rtol=0, atol=1e-5)


@torch.no_grad()
def test_fusion_follows_its_decision() -> None:
    activities = torch.tensor([1.0, 1.5]).reshape(1, 2, 1, 1).expand(1, 2, 4, 6)
    undecided = decide(torch.zeros(1, 5, 4, 6), activities)
    assert float(undecided[0, 0].max()) < float(undecided[0, 1].min())  # the stronger source's gradients win
    wanted = torch.zeros(1, 5, 4, 6)
    wanted[:, 0], wanted[:, 1], wanted[:, 4] = 20.0, 20.0, 0.25
    visible, thermal, contrasts, offset = decide(wanted, activities)[0]
    for plane, value in ((visible, 2.0), (thermal, 0.0), (contrasts, 0.5), (offset, 0.25)):
        torch.testing.assert_close(plane, torch.full_like(plane, value), rtol=0, atol=1e-4)


@torch.no_grad()
def test_depth_stays_in_its_range_and_covers_the_image() -> None:
    config = DepthConfig(minimum=2.0, maximum=40.0)
    output = DepthNetwork(config).eval()(torch.rand(1, 3, 64, 128))
    assert output.log_depth.shape == output.variance.shape == (1, 1, 64, 128)
    depth = output.log_depth.exp()
    assert float(depth.min()) > 2.0
    assert float(depth.max()) < 40.0
    assert float(output.variance.min()) >= 0.0


@torch.no_grad()
def test_depth_of_any_size_is_that_of_the_image_mirrored_to_whole_strides() -> None:
    network = DepthNetwork(DepthConfig(image_channels=1, widths=(8, 8, 8, 8, 8), bins=4)).eval()
    image = torch.rand(1, 1, 80, 101)
    mirrored = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (0, 0), (24, 24), (13, 14)), mode='reflect'))
    part, whole = network(image), network(mirrored)
    assert part.log_depth.shape == image.shape
    torch.testing.assert_close(part.log_depth, whole.log_depth[..., 24:-24, 13:-14])
    torch.testing.assert_close(part.variance, whole.variance[..., 24:-24, 13:-14])


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
    first = combine(DepthOutput(near, sure), DepthOutput(far, unsure))
    assert float(first.log_depth) == pytest.approx(0.0, abs=1e-3)
    assert float(first.variance) < 4e-4  # nearly as sure as the surer one
    assert float(combine(DepthOutput(near, unsure), DepthOutput(far, sure)).log_depth) == pytest.approx(1.0, abs=1e-3)
    both = combine(DepthOutput(near, sure), DepthOutput(far, sure))
    assert float(both.log_depth) == pytest.approx(0.5)
    assert float(both.variance) == pytest.approx(1e-4)  # no surer for having asked twice


@torch.no_grad()
def test_frame_graph_is_within_the_budget_and_keeps_any_size() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    graph = FrameGraph(FrameConfig()).eval()
    visible = torch.randint(0, 255, (1, 480, 640, 3), dtype=torch.uint8)
    text = torch.zeros(1, graph.config.fusion.text_dim)
    with FlopCounterMode(display=False) as counter:
        graph(visible, visible[..., :1], text)
    assert counter.get_total_flops() < 60 * GIGA
    fused, depth, uncertainty = graph(visible[:, :37, :51], visible[:, :37, :51, :1], text)
    assert (fused.shape, fused.dtype) == ((1, 37, 51, 3), torch.uint8)
    assert (depth.shape, depth.dtype) == ((1, 37, 51), torch.float32)
    assert uncertainty.shape == depth.shape
    assert float(uncertainty.min()) > 0
