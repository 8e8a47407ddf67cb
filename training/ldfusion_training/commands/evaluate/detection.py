"""``ldfusion evaluate detection`` and ``segmentation``: what is found in fused images, and in either camera's."""

from collections.abc import Sequence

from ldfusion_models.errors import InputError
from ldfusion_models.files import match_pairs, write_image
from ldfusion_models.language.guidance import PairCaptioner, embedding_of_captions
from ldfusion_training.data.pairs import PairSource
from ldfusion_training.data.simulated import open_simulation
from ldfusion_training.evaluation.downstream import detection, segmentation
from ldfusion_training.evaluation.fusion import Method, folder_method, folders_in
from ldfusion_training.language.real_pairs import FILE, open_labelled, read_real_pairs
from ldfusion_training.language.teacher_labels import Detector
from ldfusion_training.options.evaluate.detection import EvaluateDetection, EvaluateSegmentation
from ldfusion_training.report.tables import show_report, write_json, write_text
from ldfusion_training.simulation.scenery.things import CLASSES

PAIRS_ON_SHEET = 12


def run_detection(options: EvaluateDetection) -> int:
    """Show every result of every pair to the detector."""
    detector = Detector(options.detector)
    chosen = [
        pair
        for pair in read_real_pairs(options.truth or FILE)
        if options.split in ('all', pair.split) and (not options.sets or pair.set in options.sets)
    ]
    pairs = open_labelled(chosen[:: options.every], options.data)
    sources = [pair.source for pair in pairs]
    methods = [*detection.colour_baselines(), *_own_methods(options, sources)]
    methods += [folder_method(folder, sources) for folder in (*options.fused, *folders_in(options.peers))]
    found = detection.detect(pairs, methods, detector)
    content = detection.measure(pairs, found, options.classes)
    table = detection.report(content)
    print(table)
    if options.output:
        write_text(options.output / 'report.md', table)
        write_json(options.output / 'report.json', {'pairs': len(pairs), 'groups': content})
        every = -(-len(pairs) // PAIRS_ON_SHEET)
        write_image(options.output / 'sheet.png', detection.sheet(pairs, methods, found, options.classes, every))
    return 0


def run_segmentation(options: EvaluateSegmentation) -> int:
    """Measure every result by the masks of every pair."""
    from ldfusion_training.evaluation.prompts import TextFusion

    if options.dataset:
        pairs = segmentation.simulated_pairs(open_simulation(options.dataset))
    elif options.visible and options.thermal and options.masks:
        files = match_pairs(options.visible, options.thermal)
        pairs = segmentation.masked_pairs([PairSource(each[0].stem, *each) for each in files], options.masks)
    else:
        raise InputError('give --dataset, or --visible, --thermal and --masks')
    pairs = pairs[:: options.every]
    methods = [*detection.colour_baselines(), TextFusion(options.weights).method('fused')]
    methods += [folder_method(folder, [pair.source for pair in pairs]) for folder in options.fused]
    measured = segmentation.measure(pairs, methods, options.classes or CLASSES)
    show_report(segmentation.report(measured), measured, options.json)
    return 0


def _own_methods(options: EvaluateDetection, sources: Sequence[PairSource]) -> list[Method]:
    from ldfusion_training.evaluation.prompts import TextFusion

    fusion = TextFusion(options.weights)
    methods = [fusion.method('fused')]
    if options.without_text:
        return methods
    captioner = PairCaptioner.load(weights=options.weights)
    own = {}
    for source in sources:
        pair = source.read()
        own[source.name] = embedding_of_captions(fusion.encoder, captioner(pair.visible, pair.thermal))
    return [
        *methods,
        Method('fused, own caption', lambda name, pair: fusion(pair, [own[name]])[0]),
        fusion.method('fused, "people"', 'people'),
    ]
