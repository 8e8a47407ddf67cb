"""``ldfusion evaluate diffusion`` and ``evaluate features``: what the denoiser has learned."""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from ldfusion_models.files import write_image
from ldfusion_training.commands.options import Count
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


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateFeatures:
    """What a linear layer reads from the denoiser's features, and from others.

    Classes of street images (CamVid, IDD; mean recall), people and cars in labelled pairs (average precision of cells
    of 8x8 pixels), depth of simulated scenes (explained variance of its logarithm). Prints the table.
    """

    data: Path
    """holds camvid, idd_lite and the labelled sets"""
    simulated: tuple[Path, Path] = (Path('runs/simulated/plain'), Path('runs/simulated/new'))
    """scenes to learn from and to measure on, aligned"""
    autoencoder: Path | None = None
    """also this run of configs/ablations/autoencoder_denoiser.yaml"""
    images: Count = 24
    """of each task, to learn from; half as many to measure on"""
    markdown: Path | None = None
    """write what is printed"""


def run_features(options: EvaluateFeatures) -> int:
    """Probe every network for every task."""
    from ldfusion_training.evaluation.downstream import probes
    from ldfusion_training.evaluation.modalities import open_aligned
    from ldfusion_training.language.real_pairs import open_labelled, read_real_pairs

    count, fewer = options.images, max(1, options.images // 2)
    tasks = {}
    for name, folder, classes in (('CamVid', 'camvid', 11), ('IDD', 'idd_lite', 7)):
        train = probes.class_examples(options.data / folder / 'train', count, classes)
        test = probes.class_examples(options.data / folder / 'val', fewer, classes)
        tasks[f'{name}: classes, recall'] = probes.Task(train, test, probes.mean_recall)
    train, test = (
        probes.thing_examples(open_labelled([p for p in read_real_pairs() if p.split == split], options.data))
        for split in ('training', 'validation')
    )
    tasks['people and cars, AP'] = probes.Task(train, test, probes.mean_precision)
    train, test = (
        probes.depth_examples(probes.spread(open_aligned(scenes), most))
        for scenes, most in zip(options.simulated, (count, fewer), strict=True)
    )
    tasks['log depth, R2'] = probes.Task(train, test, probes.explained)
    scores = {
        name: {title: probes.probe(features, task) for title, task in tasks.items()}
        for name, features in probes.networks(options.autoencoder).items()
    }
    text = probes.probes_report(scores)
    print(text)
    if options.markdown:
        write_text(options.markdown, text)
    return 0


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
