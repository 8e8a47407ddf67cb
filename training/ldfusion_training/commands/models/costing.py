"""``ldfusion models cost``: what published models cost on this machine."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_training.commands.options import Count, Positive
from ldfusion_training.report.tables import markdown_table, write_json


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class CostOptions:
    """Operations, time and memory of published models on the CPU, at full size with random weights.

    Nothing is downloaded. Each runs in a process of its own, in PyTorch as transformers or open_clip run it: depth
    networks on one image, captioners on one image for 20 tokens, text encoders on one text.
    """

    names: tuple[str, ...] = field(default=(), kw_only=False)
    """parts of names, such as "small" or "DepthPro" (all)"""
    runs: Count = 3
    """timed runs after the first; the fastest counts"""
    threads: int = 0
    """CPU threads (PyTorch's choice)"""
    largest: Positive = 8.0
    """gigabytes of weights; depth networks of more are counted, but not run"""
    json: Path | None = None
    """write all values"""


DEFAULTS = CostOptions()


def run_cost(options: CostOptions = DEFAULTS) -> int:
    """Measure one after the other."""
    from ldfusion_training.benchmark.published_cost import measure, read_architectures

    parts = [part.lower() for part in options.names] or ['']
    chosen = [each for each in read_architectures() if any(p in ' '.join(each.models).lower() for p in parts)]
    if not chosen:
        raise InputError(f'{options.names[0]}: no such model; ldfusion models list names them')
    header = ['model', 'given', 'million parameters', 'GFLOP', 'ms', 'ms of all threads', 'peak memory, MB']
    rows: list[list[str]] = []
    content: dict[str, object] = {}
    for architecture in chosen:
        cost = measure(architecture, options.runs, options.threads, options.largest)
        numbers = [cost.million_parameters, cost.gflop, cost.milliseconds, cost.processor_milliseconds, cost.megabytes]
        cells = ['-' if number is None else f'{number:.0f}' for number in numbers]
        given = f'{architecture.given}; {cost.remark}' if cost.remark else architecture.given
        rows.append([', '.join(architecture.models), given, *cells])
        content |= {name: {'given': architecture.given, **asdict(cost)} for name in architecture.models}
    print(markdown_table(header, rows))
    if options.json:
        write_json(options.json, content)
    return 0
