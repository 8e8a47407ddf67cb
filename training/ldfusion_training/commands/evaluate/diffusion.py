"""``ldfusion evaluate diffusion`` and ``evaluate features``: what the denoiser has learned."""

from ldfusion_models.files import write_image
from ldfusion_training.data.pairs import open_pairs
from ldfusion_training.evaluation.modalities import open_aligned
from ldfusion_training.language.real_pairs import open_labelled, read_real_pairs
from ldfusion_training.options.evaluate.diffusion import EvaluateDiffusion, EvaluateFeatures
from ldfusion_training.report.tables import show_report, write_text


def run_features(options: EvaluateFeatures) -> int:
    """Probe every network for every task."""
    from ldfusion_training.evaluation.downstream import probes

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
    from ldfusion_training.evaluation import diffusion as evaluation

    process = evaluation.load_process(options.weights)
    images = evaluation.read_images(open_pairs(options.pairs).pairs)
    scores = evaluation.measure(process, images)
    content = evaluation.diffusion_json(scores)
    show_report(evaluation.diffusion_report(scores), content, options.json, options.markdown)
    if options.sheet:
        write_image(options.sheet, evaluation.diffusion_sheet(process, images))
    return 0
