"""``ldfusion export``: the frame graph as one ONNX file, or built by TensorRT ahead of time."""

from ldfusion_models.choices import MINIMUM_SIZE
from ldfusion_models.engines.base import EngineFailedError
from ldfusion_models.engines.selection import build_ahead
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import export_onnx
from ldfusion_training.options.export import Export

SIZE_OF_BUILD = (640, 480)


def run_export(options: Export) -> int:
    """Export; a file is whole or absent."""
    _check(options)
    if options.engine:
        _build(options)
    else:
        assert options.output is not None
        export_onnx(options.output, options.weights, options.size)
        print(f"{options.output}: give it to the node's parameter weights")
    return 0


def _check(options: Export) -> None:
    output = options.output
    if not options.engine and not output:
        raise InputError('give --output FILE.onnx, or --engine tensorrt')
    if options.size and min(options.size) < MINIMUM_SIZE:
        raise InputError(f'--size {"x".join(map(str, options.size))}: at least {MINIMUM_SIZE} pixels each way')
    if options.engine:
        if output and (output.suffix or output.is_file()):
            raise InputError(f'{output}: give a folder; a built engine has a name that says what it is for')
        return
    if output and output.suffix != '.onnx':
        raise InputError(f'{output}: the name of an exported graph ends in .onnx')
    if options.precision == 'mixed':
        raise InputError('--precision mixed is made by engines: the file is fp32')
    if options.compute_capability:
        raise InputError('--compute-capability is for built engines: add --engine tensorrt')


def _build(options: Export) -> None:
    size, capabilities = options.size or SIZE_OF_BUILD, options.compute_capability
    try:
        path = build_ahead(options.weights, options.precision, size, capabilities, options.output, print)
    except EngineFailedError as error:
        raise InputError(f'engine tensorrt: {error}') from error
    if options.output:
        print(f'{path}: copy it to ~/.cache/ldfusion_ros/tensorrt of the robot')
    else:
        print(f'{path}: nodes of this machine find it there; on a robot it goes into the same folder')
