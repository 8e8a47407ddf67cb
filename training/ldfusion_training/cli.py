"""The ``ldfusion`` command: each sub-command is a dataclass of options and a function, imported when needed."""

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from ldfusion_models import __version__
from ldfusion_models.errors import InputError, explain_missing
from ldfusion_models.shown import one_line

OPTIONS, FUNCTIONS = 'ldfusion_training.options', 'ldfusion_training.commands'
# Where a command's options are, and what it does; in the order in which --help lists them. The module of the same name
# in FUNCTIONS holds run_NAME, which takes them and returns the exit code; it is imported when the command runs.
COMMANDS: Mapping[str, tuple[str, str]] = {
    'fuse': ('fuse:Fuse', 'fuse pairs of images'),
    'depth': ('depth:Depth', 'estimate depth of single images'),
    'caption': ('caption:Caption', 'describe pairs of images'),
    'demo': ('demo:Demo', 'replay a recording through fusion_node and look at the results'),
    'simulate': ('simulate:Simulate', 'make RGB-thermal-depth scenes with exact depth and descriptions'),
    'make-bag': ('make_bag:MakeBag', 'make a recording from folders of pairs'),
    'calibrate': ('calibrate:Calibrate', 'estimate how thermal is mapped into visible'),
    'train': ('train:Train', 'train one stage of the networks'),
    'burst': ('train:Burst', 'train and measure on a GPU that is at hand for minutes'),
    'teach-depth': ('depth:TeachDepth', 'depth that teachers see in images, as a data set to train on'),
    'weights': ('release:Weights', 'train every part of the weights from data sets alone'),
    'release': ('release:Release', 'put trained weights where nodes and commands load them'),
    'export': ('export:Export', 'write the frame graph as one ONNX file, or build it with TensorRT'),
    'benchmark': ('benchmark:Benchmark', 'time an engine on this machine'),
    'evaluate fusion': (
        'evaluate.images:EvaluateFusion',
        'EN, MI, 2EN, SF, SD, VIF, Qabf, AG, SCD, CC, SSIM, Nabf and chroma error',
    ),
    'evaluate diffusion': (
        'evaluate.diffusion:EvaluateDiffusion',
        'how well the denoiser tells noise from image, and what it draws from noise',
    ),
    'evaluate features': (
        'evaluate.diffusion:EvaluateFeatures',
        "what a linear layer reads from the denoiser's features, beside an untrained and a published network's",
    ),
    'evaluate depth': (
        'evaluate.images:EvaluateDepth',
        'AbsRel, SqRel, RMSE, RMSElog, SILog and the share within 1.25, 1.25^2, 1.25^3',
    ),
    'evaluate places': (
        'evaluate.places:EvaluatePlaces',
        'a depth branch on drives, sites and cameras that its recipe has not seen',
    ),
    'evaluate detection': (
        'evaluate.detection:EvaluateDetection',
        "whether a detector finds more in fused images than in either camera's",
    ),
    'evaluate segmentation': (
        'evaluate.detection:EvaluateSegmentation',
        'how plainly classes of labelled masks stand out in fused images',
    ),
    'evaluate modalities': (
        'evaluate.images:EvaluateModalities',
        'depth of fused images against that of either camera alone, by light and weather',
    ),
    'evaluate video': ('evaluate.images:EvaluateVideo', 'flicker of fused video of a simulated scene'),
    'evaluate captions': ('evaluate.language:EvaluateCaptions', 'what captions of simulated scenes tell rightly'),
    'evaluate text': ('evaluate.language:EvaluateText', 'whether text embeddings join wordings and tell facts apart'),
    'evaluate bag': ('evaluate.bag:EvaluateBag', 'recordings offline: every pair fused and measured, with a report'),
    'evaluate compare': ('evaluate.bag:EvaluateCompare', 'two evaluated recordings side by side'),
    'evaluate prompts': ('evaluate.prompts:EvaluatePrompts', 'what prompts do to the contrast of things'),
    'evaluate guidance': (
        'evaluate.prompts:EvaluateGuidance',
        "ablation: no text, each pair's own caption, another pair's",
    ),
    'reproduce table1': ('reproduce:ReproduceMethods', 'ours and published methods on TNO'),
    'reproduce table2': ('reproduce:ReproduceMethods', 'ours and published methods on LLVIP'),
    'reproduce table3': (
        'reproduce:ReproduceRuns',
        'training runs: with and without the depth-driven loss, with intervals',
    ),
    'reproduce table4': ('reproduce:ReproduceRuns', 'training runs: the ablation, with intervals'),
    'models list': ('models.fetching:List', 'published models that are known, and which are here'),
    'models fetch': ('models.fetching:Fetch', 'bring a published model onto this machine'),
    'models prepare': ('models.preparing:Prepare', 'put a published depth network into the frame graph'),
    'models use': ('models.preparing:Use', 'write the parameters with which the nodes use it'),
    'models cost': ('models.costing:CostOptions', 'what published models cost on this machine, at full size'),
    'project-scans': ('project_scans:ProjectScans', 'laser scans to depth images of a camera'),
}
GROUPS = {
    'evaluate': 'measure fused images, the denoiser, depth, video, recordings, captions or text embeddings',
    'models': 'published models of others, fetched once and used by name',
    'reproduce': "the paper's tables, and what it claims, measured here",
}
BAD_INPUT, INTERRUPTED = 2, 130


def create_app(called: str = '') -> App:
    """The parser of all commands; only the options of the command that is ``called`` are imported."""
    app = App(
        name='ldfusion',
        help='Thermal and visible images to one image and depth. --debug, anywhere, shows the traceback of an error.',
        version=__version__,
        default_parameter=Parameter(consume_multiple=True, negative=()),
        result_action='return_value',
        sort_key=None,
    )
    groups = {name: App(name=name, help=text) for name, text in GROUPS.items()}
    for path, (place, text) in COMMANDS.items():
        group, _, kind = path.rpartition(' ')
        if group and group not in app:
            app.command(groups[group])
        parent = groups[group] if group else app
        # Without a text it is that of the class, which is imported for it.
        parent.command(f'{OPTIONS}.{place}', name=kind, help=None if path == called else text)
    return app


def parse(words: Sequence[str]) -> tuple[str, Any]:
    """The name of a command and its options; an empty name where help or version was asked for, and printed.

    Raises:
        InputError: the words are no command.
    """
    called = next((name for count in (2, 1) if (name := ' '.join(words[:count])) in COMMANDS), '')
    try:
        options = create_app(called)(list(words), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise InputError(f'{error}; see ldfusion --help') from error
    return ('', None) if options is None else (called, options)


def function_of(name: str) -> Callable[[Any], int]:
    """What runs the command ``name``: takes its options, returns the exit code."""
    module = COMMANDS[name][0].partition(':')[0]
    kind = name.rpartition(' ')[2].replace('-', '_')
    function: Callable[[Any], int] = getattr(import_module(f'{FUNCTIONS}.{module}'), f'run_{kind}')
    return function


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 only if all that was asked for was written; 2 for bad input, with one line on stderr; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = '--debug' in words
    try:
        name, options = parse([word for word in words if word != '--debug'])
        return function_of(name)(options) if name else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except (InputError, OSError, ModuleNotFoundError) as error:
        if debug:
            traceback.print_exc()
        text = explain_missing(error) if isinstance(error, ModuleNotFoundError) else str(error)
        print(f'ldfusion: {one_line(text)}', file=sys.stderr)
        return BAD_INPUT
