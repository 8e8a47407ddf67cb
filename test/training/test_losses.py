"""Losses against values worked out by hand and gradients against finite differences."""

import math

import pytest

torch = pytest.importorskip('torch')

from ldfusion_training import losses  # noqa: E402


def random_images(channels: int, size: int = 19, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(10 * channels + seed)
    return torch.rand(2, channels, size, size, dtype=torch.float64, generator=generator)


def test_silog_is_the_variance_of_the_log_error() -> None:
    truth = torch.tensor([1.0, 2.0, 4.0, math.nan]).reshape(1, 1, 2, 2)
    predicted = torch.tensor([math.log(2.0), math.log(2.0), math.log(2.0), 9.0]).reshape(1, 1, 2, 2)
    error = [math.log(2.0), 0.0, -math.log(2.0)]
    mean_square, mean = sum(e * e for e in error) / 3, sum(error) / 3
    assert float(losses.silog(predicted, truth)) == pytest.approx(mean_square - mean**2, abs=1e-6)


def test_silog_as_printed_is_blind_to_scale_and_with_less_variance_weight_it_is_not() -> None:
    truth = torch.tensor([1.0, 3.0, 7.0, 20.0]).reshape(1, 1, 2, 2)
    twice = truth.log() + math.log(2.0)
    assert float(losses.silog(twice, truth)) == pytest.approx(0.0, abs=1e-6)
    assert float(losses.silog(twice, truth, 0.85)) == pytest.approx(0.15 * math.log(2.0) ** 2, rel=1e-4)


def test_silog_of_an_image_without_truth_is_zero_and_does_not_dilute_the_others() -> None:
    truth = torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2)
    predicted = torch.zeros(1, 1, 1, 2)
    alone = losses.silog(predicted, truth)
    unknown = torch.full_like(truth, math.nan)
    both = losses.silog(torch.cat([predicted, predicted]), torch.cat([truth, unknown]))
    assert float(both) == pytest.approx(float(alone))
    assert float(losses.silog(predicted, unknown)) == 0.0


def depth_of_ground(pitch: float, roll: float) -> torch.Tensor:
    """Log depth (1, 1, 40, 60) of ground 1.5 m below a camera, all of it in view."""
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing='ij')
    x, y = (columns - 30) / 60, (rows + 10) / 60
    down = math.cos(pitch) * (math.cos(roll) * y - math.sin(roll) * x) + math.sin(pitch)
    return (1.5 / down).log()[None, None]


@pytest.mark.parametrize(('pitch', 'roll'), [(0.0, 0.0), (0.1, 0.05)])
def test_a_plane_is_even_however_the_camera_is_turned_and_a_bump_is_not(pitch: float, roll: float) -> None:
    flat = depth_of_ground(pitch, roll).double()
    ground = torch.ones_like(flat, dtype=torch.bool)
    assert float(losses.unevenness(flat, ground, allowed=0.0)) == pytest.approx(0, abs=1e-4)
    bump = flat.clone()
    bump[..., 10:14, 20:26] -= 0.5
    bump.requires_grad_()
    uneven = losses.unevenness(bump, ground, allowed=0.1)
    uneven.backward()
    assert float(uneven.detach()) == pytest.approx(0.4 * 24 / 2400, rel=0.2)
    assert (bump.grad[..., 10:14, 20:26] < 0).all(), 'the bump is to go back'
    assert (bump.grad == 0).sum() == 2400 - 24
    few = torch.zeros_like(ground)
    few[..., :8, :] = True
    assert float(losses.unevenness(bump.detach(), few)) == 0, 'too little to tell a plane'


def test_a_thing_behind_or_before_its_foot_comes_to_it() -> None:
    log_depth = torch.tensor([[3.0, 1.0], [2.0, 1.5]]).reshape(1, 1, 2, 2).requires_grad_()
    feet = torch.tensor([[2, 2], [-1, 2]]).reshape(1, 1, 2, 2)
    apart = losses.apart_from_ground(log_depth, feet, allowed=0.6)
    assert float(apart.detach()) == pytest.approx((0.4 + 0.4 + 0) / 3)
    apart.backward()
    assert log_depth.grad.flatten().tolist() == pytest.approx([1 / 3, -1 / 3, 0, 0])
    assert float(losses.apart_from_ground(log_depth.detach(), torch.full_like(feet, -1))) == 0


def test_intensity_is_the_distance_to_the_brighter_source() -> None:
    visible = torch.tensor([0.2, 0.9]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    thermal = torch.tensor([0.5, 0.1]).reshape(1, 1, 1, 2)
    fused = torch.full((1, 3, 1, 2), 0.4)
    assert float(losses.multi_channel_intensity(fused, visible, thermal)) == pytest.approx(3 * (0.1 + 0.5) / 2)


def test_gradient_of_a_ramp_is_eight_times_its_slope() -> None:
    ramp = (0.01 * torch.arange(9.0)).expand(1, 3, 9, 9)
    flat, thermal = torch.zeros(1, 3, 9, 9), torch.zeros(1, 1, 9, 9)
    # Sobel of a ramp of slope s is 8 s inside and 4 s in the first and the last column (repeated border).
    expected = 3 * 0.01 * (7 * 8 + 2 * 4) / 9
    assert float(losses.multi_channel_gradient(flat, ramp, thermal)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.multi_channel_gradient(ramp, ramp, thermal)) == pytest.approx(0.0, abs=1e-6)


def test_complement_is_zero_for_the_sum_of_the_sources() -> None:
    visible, thermal = random_images(1), random_images(1).flip(-1)
    assert float(losses.correlation_of_differences(visible + thermal, visible, thermal)) == pytest.approx(0, abs=1e-4)


def visual_information(fused: torch.Tensor, visible: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return losses.visual_information(visible, fused, scales=1).mean()


COLOURED = [losses.multi_channel_intensity, losses.multi_channel_gradient]
GREY = [
    losses.correlation_of_differences,
    visual_information,
    losses.edge_loss,
    lambda fused, visible, thermal: losses.silog(fused, thermal + 1.0, 0.85),
    lambda fused, visible, thermal: losses.log_gradient(fused, thermal + 1.0),
]


@pytest.mark.parametrize(('loss', 'channels'), [*((loss, 3) for loss in COLOURED), *((loss, 1) for loss in GREY)])
def test_gradients_are_those_of_finite_differences(loss: object, channels: int) -> None:
    # Each value is changed by itself, so few of them; the windows of visual information need more.
    size = 19 if loss is visual_information else 11
    visible, thermal = random_images(channels, size, seed=2), random_images(1, size)
    fused = random_images(channels, size, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: loss(image, visible, thermal), (fused,), eps=1e-6, atol=1e-5)


def test_visual_information_equals_the_metric() -> None:
    metrics = pytest.importorskip('ldfusion_training.metrics')
    generator = torch.Generator().manual_seed(2)
    smooth = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 160, 160, generator=generator), 9, 1, 4)
    reference = ((smooth - 0.3) * 500).clamp(0, 255).round()
    image = (0.6 * reference + 30 * torch.rand(reference.shape, generator=generator)).clamp(0, 255).round()
    own = float(losses.visual_information(reference / 255, image / 255, scales=4))
    expected = metrics.visual_information_fidelity(reference[0, 0].double().numpy(), image[0, 0].double().numpy())
    assert own == pytest.approx(expected, rel=1e-2)


def test_edge_loss_is_near_one_minus_the_metric() -> None:
    metrics = pytest.importorskip('ldfusion_training.metrics')
    generator = torch.Generator().manual_seed(3)
    smooth = torch.nn.functional.avg_pool2d(torch.rand(2, 1, 90, 90, generator=generator), 7, 1, 3)
    visible, thermal = ((smooth - 0.3) * 500).clamp(0, 255).round().split(1)
    for fused in (visible, torch.maximum(visible, thermal), 0.5 * (visible + thermal).round()):
        own = 1 - float(losses.edge_loss(fused / 255, visible / 255, thermal / 255))
        images = (image[0, 0].double().numpy() for image in (visible, thermal, fused))
        # Angles of opposite sign near the vertical differ: the metric takes them for opposite edges.
        assert own == pytest.approx(metrics.edge_preservation(*images), abs=0.05)


def test_contrast_loss_asks_for_more_where_contrast_is_weak_and_not_where_it_is_noise_or_strong() -> None:
    noise, weak, strong = losses.wanted_contrast(torch.tensor([0.002, 0.04, 0.3])) / torch.tensor([0.002, 0.04, 0.3])
    assert float(weak) > 1.25
    assert 1.0 <= float(noise) < 1.03
    assert 1.0 <= float(strong) < 1.03


def test_contrast_loss_is_zero_for_an_image_with_enough_contrast_and_grows_as_it_fades() -> None:
    visible, thermal = random_images(1, 48), random_images(1, 48, seed=1)
    enough = 0.5 + 2.0 * (visible - 0.5)
    assert float(losses.contrast_loss(enough, visible, visible)) < 1e-3
    faded = [float(losses.contrast_loss(0.5 + part * (visible - 0.5), visible, thermal)) for part in (1.0, 0.7, 0.3)]
    assert faded == sorted(faded)
    assert faded[-1] > faded[0] + 0.1


def test_darkening_counts_only_large_parts_that_are_darker_than_allowed() -> None:
    visible = torch.full((1, 1, 32, 32), 0.8)
    assert float(losses.darkening_loss(visible + 0.2, visible)) == 0.0
    assert float(losses.darkening_loss(visible - 0.25, visible)) == pytest.approx(0.0, abs=1e-5)
    darker = visible.clone()
    darker[..., :16, :16] -= 0.5
    assert float(losses.darkening_loss(darker, visible)) == pytest.approx(0.25 / 4, abs=1e-5)
    stripes = visible + 0.3 * torch.tensor([-1.0, 1.0]).repeat(16)
    assert float(losses.darkening_loss(stripes, visible)) == pytest.approx(0.0, abs=1e-5)


def test_brightness_of_large_parts_is_compared_between_two_sizes() -> None:
    whole = torch.rand(1, 1, 64, 96)
    half = torch.nn.functional.avg_pool2d(whole, 2)
    assert float(losses.brightness_change(whole, half)) == pytest.approx(0.0, abs=1e-6)
    half[..., :16, :] += 0.1
    assert float(losses.brightness_change(whole, half)) == pytest.approx(0.05, abs=1e-6)
