"""The ``ldfusion`` command: one sub-command per function of :mod:`ldfusion_training.commands`, loaded when called."""

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import BoundArguments, getdoc
from typing import Any, get_type_hints

from cyclopts import App, CycloptsError, Parameter

from ldfusion_models import __version__
from ldfusion_models.errors import InputError, explain_missing
from ldfusion_models.shown import one_line

MODULES = 'ldfusion_training.commands'
# Where a command is, and what it does; in the order in which --help lists them.
COMMANDS: Mapping[str, tuple[str, str]] = {
    'fuse': ('fuse:run', 'fuse pairs of images'),
    'depth': ('depth:run', 'estimate depth of single images'),
    'caption': ('caption:run', 'describe pairs of images'),
    'demo': ('demo:run', 'replay a recording through fusion_node and look at the results'),
    'simulate': ('simulate:run', 'make RGB-thermal-depth scenes with exact depth and descriptions'),
    'make-bag': ('make_bag:run', 'make a recording from folders of pairs'),
    'calibrate': ('calibrate:run', 'estimate how thermal is mapped into visible'),
    'train': ('train:run', 'train one stage of the networks'),
    'burst': ('train:run_burst', 'train and measure on a GPU that is at hand for minutes'),
    'teach-depth': ('depth:run_teach', 'depth that teachers see in images, as a data set to train on'),
    'weights': ('release:run_weights', 'train every part of the weights from data sets alone'),
    'release': ('release:run', 'put trained weights where nodes and commands load them'),
    'export': ('export:run', 'write the frame graph as one ONNX file, or build it with TensorRT'),
    'benchmark': ('benchmark:run', 'time an engine on this machine'),
    'evaluate fusion': (
        'evaluate.images:run_fusion',
        'EN, MI, 2EN, SF, SD, VIF, Qabf, AG, SCD, CC, SSIM, Nabf and chroma error',
    ),
    'evaluate diffusion': (
        'evaluate.diffusion:run_diffusion',
        'how well the denoiser tells noise from image, and what it draws from noise',
    ),
    'evaluate features': (
        'evaluate.diffusion:run_features',
        "what a linear layer reads from the denoiser's features, beside an untrained and a published network's",
    ),
    'evaluate depth': (
        'evaluate.images:run_depth',
        'AbsRel, SqRel, RMSE, RMSElog, SILog and the share within 1.25, 1.25^2, 1.25^3',
    ),
    'evaluate places': (
        'evaluate.places:run_places',
        'a depth branch on drives, sites and cameras that its recipe has not seen',
    ),
    'evaluate detection': (
        'evaluate.detection:run',
        "whether a detector finds more in fused images than in either camera's",
    ),
    'evaluate segmentation': (
        'evaluate.detection:run_segmentation',
        'how plainly classes of labelled masks stand out in fused images',
    ),
    'evaluate modalities': (
        'evaluate.images:run_modalities',
        'depth of fused images against that of either camera alone, by light and weather',
    ),
    'evaluate video': ('evaluate.images:run_video', 'flicker of fused video of a simulated scene'),
    'evaluate captions': ('evaluate.language:run_captions', 'what captions of simulated scenes tell rightly'),
    'evaluate text': ('evaluate.language:run_text', 'whether text embeddings join wordings and tell facts apart'),
    'evaluate bag': ('evaluate.bag:run', 'recordings offline: every pair fused and measured, with a report'),
    'evaluate compare': ('evaluate.bag:run_compare', 'two evaluated recordings side by side'),
    'evaluate prompts': ('evaluate.prompts:run_prompts', 'what prompts do to the contrast of things'),
    'evaluate guidance': (
        'evaluate.prompts:run_guidance',
        "ablation: no text, each pair's own caption, another pair's",
    ),
    'reproduce table1': ('reproduce:table1', 'ours and published methods on TNO'),
    'reproduce table2': ('reproduce:table2', 'ours and published methods on LLVIP'),
    'reproduce table3': ('reproduce:table3', 'training runs: with and without the depth-driven loss, with intervals'),
    'reproduce table4': ('reproduce:table4', 'training runs: the ablation, with intervals'),
    'models list': ('models.fetching:run_list', 'published models that are known, and which are here'),
    'models fetch': ('models.fetching:run_fetch', 'bring a published model onto this machine'),
    'models prepare': ('models.preparing:run_prepare', 'put a published depth network into the frame graph'),
    'models use': ('models.preparing:run_use', 'write the parameters with which the nodes use it'),
    'models cost': ('models.costing:run_cost', 'what published models cost on this machine, at full size'),
    'project-scans': ('project_scans:run', 'laser scans to depth images of a camera'),
}
GROUPS = {
    'evaluate': 'measure fused images, the denoiser, depth, video, recordings, captions or text embeddings',
    'models': 'published models of others, fetched once and used by name',
    'reproduce': "the paper's tables, and what it claims, measured here",
}
BAD_INPUT, INTERRUPTED = 2, 130


def create_app(called: str = '') -> App:
    """The parser of all commands; only the module of the command that is ``called`` is imported, for its options."""
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
        if path == called:
            function = _load(place)
            parent.command(function, name=kind, help=getdoc(get_type_hints(function)['options']))
        else:
            parent.command(f'{MODULES}.{place}', name=kind, help=text)
    return app


def _load(place: str) -> Callable[..., int]:
    module, _, function = place.partition(':')
    loaded: Callable[..., int] = getattr(import_module(f'{MODULES}.{module}'), function)
    return loaded


def parse(words: Sequence[str]) -> tuple[Callable[..., Any], BoundArguments]:
    """The function of a command line and its options.

    Raises:
        InputError: the words are no command.
    """
    try:
        called = next((' '.join(words[:count]) for count in (2, 1) if ' '.join(words[:count]) in COMMANDS), '')
        function, bound, _ = create_app(called).parse_args(list(words), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise InputError(f'{error}; see ldfusion --help') from error
    return function, bound


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 only if all that was asked for was written; 2 for bad input, with one line on stderr; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = '--debug' in words
    try:
        function, bound = parse([word for word in words if word != '--debug'])
        return int(function(*bound.args, **bound.kwargs) or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (InputError, OSError, ModuleNotFoundError) as error:
        if debug:
            traceback.print_exc()
        text = explain_missing(error) if isinstance(error, ModuleNotFoundError) else str(error)
        print(f'ldfusion: {one_line(text)}', file=sys.stderr)
        return BAD_INPUT
