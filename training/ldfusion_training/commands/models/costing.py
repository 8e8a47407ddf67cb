"""``ldfusion models cost``: what published models cost on this machine."""

from dataclasses import asdict

from ldfusion_models.errors import InputError
from ldfusion_training.options.models.costing import CostOptions
from ldfusion_training.report.tables import markdown_table, write_json


def run_cost(options: CostOptions) -> int:
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
