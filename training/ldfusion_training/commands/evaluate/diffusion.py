"""``ldfusion evaluate diffusion``: what the denoiser has learned."""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from ldfusion_models.files import write_image
from ldfusion_training.report.tables import write_json, write_text


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateDiffusion:
    """How well the denoiser tells noise from image, and what it draws from noise.

    Adds noise to pairs at several timesteps and measures what the denoiser makes of it: the mean square error of
    the predicted noise (eq. 8; a prediction of no noise at all has 1) and the PSNR of the image estimate beside
    that of the noisy image itself. Prints the table.
    """

    pairs: Path
    """pairs not trained on, any layout"""
    weights: str = 'released'
    """released, a folder of weights, or a checkpoint"""
    json: Path | None = None
    """write the values"""
    markdown: Path | None = None
    """write what is printed"""
    sheet: Path | None = None
    """write pairs, noisy, estimated and drawn anew from noise; below, pictures drawn from noise alone"""


def run_diffusion(options: EvaluateDiffusion) -> int:
    """Measure the denoiser."""
    from ldfusion_training.data.pairs import open_pairs
    from ldfusion_training.evaluation import diffusion as evaluation

    process = evaluation.load_process(options.weights)
    images = evaluation.read_images(open_pairs(options.pairs).pairs)
    scores = evaluation.measure(process, images)
    text = evaluation.diffusion_report(scores)
    print(text)
    if options.json:
        write_json(options.json, evaluation.diffusion_json(scores))
    if options.markdown:
        write_text(options.markdown, text)
    if options.sheet:
        write_image(options.sheet, evaluation.diffusion_sheet(process, images))
    return 0
