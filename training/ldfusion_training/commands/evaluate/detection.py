"""``ldfusion evaluate detection`` and ``segmentation``: what is found in fused images, and in either camera's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.files import match_pairs, write_image
from ldfusion_training.commands.options import Count, folders_in
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from ldfusion_training.data.pairs import PairSource
    from ldfusion_training.evaluation.fusion import Method

PAIRS_ON_SHEET = 12


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateDetection:
    """Whether a detector finds more in fused images than in either camera's.

    Shows labelled pairs to a YOLOX detector (ONNX): visible, thermal, average, maximum, Laplacian pyramid, fused
    without text, with the own caption, with the prompt "people", and other results. Prints AP50 and recall by class,
    light and data set with 95 % intervals over pairs, and the share of white pixels in boxes.
    """

    detector: Path
    """YOLOX of COCO's classes, as ONNX"""
    data: Path
    """holds SET/vi and SET/ir of the pairs"""
    truth: Path | None = None
    """boxes, as in language/real_pairs.json, the default"""
    split: Literal['validation', 'training', 'all'] = 'validation'
    sets: tuple[str, ...] = ()
    """only these, such as tno/val"""
    classes: tuple[str, ...] = ('person', 'car')
    weights: Path | None = None
    """default: those of the package"""
    without_text: bool = False
    """leave out captions and prompt"""
    fused: tuple[Path, ...] = ()
    """other results by name"""
    peers: Path | None = None
    """each of its folders is one more result"""
    every: Count = 1
    """only every Nth pair"""
    output: Path | None = None
    """write report.md, report.json and sheet.png"""


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateSegmentation:
    """How plainly classes stand out in fused images.

    Measures, by class of labelled masks, the part of its border that has an edge and its contrast with what is around:
    visible, thermal, average, maximum, Laplacian pyramid, fused without text, and other results. Prints both tables.
    """

    dataset: Path | None = None
    """simulated data set"""
    visible: Path | None = None
    """folder of visible images, instead"""
    thermal: Path | None = None
    """folder of thermal images"""
    masks: Path | None = None
    """folder of masks, 8 bits: number of the class"""
    classes: tuple[str, ...] = ()
    """names of the numbers from 0 on; default: those of the simulator"""
    weights: Path | None = None
    """default: those of the package"""
    fused: tuple[Path, ...] = ()
    """other results by name"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write the values of each pair"""


def run(options: EvaluateDetection) -> int:
    """Show every result of every pair to the detector."""
    from ldfusion_training.evaluation.downstream import detection as evaluation
    from ldfusion_training.evaluation.fusion import folder_method
    from ldfusion_training.language.real_pairs import FILE, open_labelled, read_real_pairs
    from ldfusion_training.language.teacher_labels import Detector

    detector = Detector(options.detector)
    chosen = [
        pair
        for pair in read_real_pairs(options.truth or FILE)
        if options.split in ('all', pair.split) and (not options.sets or pair.set in options.sets)
    ]
    pairs = open_labelled(chosen[:: options.every], options.data)
    sources = [pair.source for pair in pairs]
    methods = [*evaluation.colour_baselines(), *_own_methods(options, sources)]
    methods += [folder_method(folder, sources) for folder in (*options.fused, *folders_in(options.peers))]
    found = evaluation.detect(pairs, methods, detector)
    content = evaluation.measure(pairs, found, options.classes)
    table = evaluation.report(content)
    print(table)
    if options.output:
        write_text(options.output / 'report.md', table)
        write_json(options.output / 'report.json', {'pairs': len(pairs), 'groups': content})
        every = -(-len(pairs) // PAIRS_ON_SHEET)
        write_image(options.output / 'sheet.png', evaluation.sheet(pairs, methods, found, options.classes, every))
    return 0


SEGMENTATION_DEFAULTS = EvaluateSegmentation()


def run_segmentation(options: EvaluateSegmentation = SEGMENTATION_DEFAULTS) -> int:
    """Measure every result by the masks of every pair."""
    from ldfusion_training.data.pairs import PairSource
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation.downstream import segmentation as evaluation
    from ldfusion_training.evaluation.downstream.detection import colour_baselines
    from ldfusion_training.evaluation.fusion import folder_method
    from ldfusion_training.evaluation.prompts import TextFusion
    from ldfusion_training.simulation.scenery.things import CLASSES

    if options.dataset:
        pairs = evaluation.simulated_pairs(open_simulation(options.dataset))
    elif options.visible and options.thermal and options.masks:
        files = match_pairs(options.visible, options.thermal)
        pairs = evaluation.masked_pairs([PairSource(each[0].stem, *each) for each in files], options.masks)
    else:
        raise InputError('give --dataset, or --visible, --thermal and --masks')
    pairs = pairs[:: options.every]
    methods = [*colour_baselines(), TextFusion(options.weights).method('fused')]
    methods += [folder_method(folder, [pair.source for pair in pairs]) for folder in options.fused]
    measured = evaluation.measure(pairs, methods, options.classes or CLASSES)
    print(evaluation.report(measured))
    if options.json:
        write_json(options.json, measured)
    return 0


def _own_methods(options: EvaluateDetection, sources: 'Sequence[PairSource]') -> 'list[Method]':
    from ldfusion_models.language.guidance import PairCaptioner, embedding_of_captions
    from ldfusion_training.evaluation.fusion import Method
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
