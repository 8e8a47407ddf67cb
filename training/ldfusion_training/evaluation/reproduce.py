"""The paper's tables of fusion: printed numbers beside those measured here, and why some can't be compared."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from ldfusion_models.errors import InputError
from ldfusion_training.evaluation.fusion import MethodScore, as_json
from ldfusion_training.report.tables import UNDEFINED, markdown_table

TABLES_FILE = Path(__file__).with_name('paper_tables.yaml')
TABLES = ('table1', 'table2', 'table3', 'table4')
OURS = 'ours'
# Measured beside the paper's columns: the mutual information that its column MI is not.
MUTUAL_INFORMATION = 'MI'
RATIO_NOTE = (
    'Where published methods are far from x 1, the paper measured other images or by another definition: then our '
    'number does not compare with its own either.'
)


@dataclass(frozen=True)
class Note:
    """Why printed numbers can't be compared: those of whole ``columns``, or of single ``cells`` (row, column)."""

    text: str
    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, str], ...] = ()

    def concerns(self, row: str, column: str) -> bool:
        """Whether it is about this printed number."""
        return column in self.columns or (row, column) in self.cells


@dataclass(frozen=True)
class Run:
    """A row of training runs, ``NAME/seed_N``, and the printed row beside which it stands, if there is one.

    Its recipe is ``configs/ablations/NAME.yaml``; ``made_by`` says how it is made if that takes more than data.
    """

    name: str
    row: str = ''
    made_by: str = ''


@dataclass(frozen=True)
class Claim:
    """A sentence, and the effect that would show it: that of ``row`` against each of ``than`` on a group of images."""

    text: str
    row: str
    than: tuple[str, ...]
    measure: str
    group: str


@dataclass(frozen=True)
class PaperTable:
    """One printed table.

    Attributes:
        title: its caption.
        columns: which measure (see ``metrics.TITLES``) the numbers below each printed heading are.
        rows: by method, the printed number below each heading.
        notes: what can't be compared.
        runs: our training runs in the order of the table; empty for tables that compare methods.
        claims: what the table is printed for.
    """

    title: str
    columns: Mapping[str, str]
    rows: Mapping[str, Mapping[str, float]]
    notes: tuple[Note, ...]
    runs: tuple[Run, ...] = field(default=())
    claims: tuple[Claim, ...] = field(default=())


def paper_table(name: str) -> PaperTable:
    """One of ``TABLES`` as printed in the paper."""
    content = yaml.safe_load(TABLES_FILE.read_text())[name]
    columns: dict[str, str] = content['columns']
    rows = {row: dict(zip(columns, numbers, strict=True)) for row, numbers in content['rows'].items()}
    notes = tuple(
        Note(
            note['text'], tuple(note.get('columns', ())), tuple((row, column) for row, column in note.get('cells', ()))
        )
        for note in content['notes']
    )
    runs = tuple(Run(**run) for run in content.get('runs', ()))
    claims = tuple(Claim(**{**claim, 'than': tuple(claim['than'])}) for claim in content.get('claims', ()))
    return PaperTable(content['title'], columns, rows, notes, runs, claims)


def printed_name(table: PaperTable, method: str) -> str | None:
    """The printed row that a folder called ``method`` holds results of, whatever its case and hyphens; None if none."""
    return next((row for row in table.rows if _plain(row) == _plain(method)), None)


def report(table: PaperTable, scores: Mapping[str, MethodScore], others: Sequence[MethodScore] = ()) -> str:
    """Printed numbers beside measured ones as a Markdown table, with notes below.

    Args:
        table: as printed.
        scores: what was measured here for printed rows, by the row's name.
        others: measured rows that the paper does not print.
    """
    header = ['method']
    for heading, measure in table.columns.items():
        header += [f'{measure} here', f'"{heading}" printed']
    header.append(f'{MUTUAL_INFORMATION} here')
    rows = [_row(table, row, scores.get(row)) for row in table.rows]
    ratios = printed_to_measured(table, scores)
    notes = [f'({mark}) "{", ".join(_about(note))}": {note.text}.' for mark, note in _marks(table)]
    if ratios:
        count = sum(row in scores for row in table.rows if row != OURS)
        cells = [cell for heading in table.columns for cell in ('', f'x {ratios[heading]:.2f}')]
        rows.append([f'printed / here, median of {count} published methods', *cells, ''])
        notes.append(RATIO_NOTE)
    rows += [_row(table, score.name, score) for score in others]
    return '\n\n'.join([f'## {table.title}', markdown_table(header, rows), '\n'.join(notes)])


def printed_to_measured(table: PaperTable, scores: Mapping[str, MethodScore]) -> dict[str, float]:
    """By heading: median over the published methods of the printed number divided by the one measured here.

    Far from 1, the paper measured something else, or other images, whatever the heading says.
    """
    measured = {row: score.mean() for row, score in scores.items() if row in table.rows and row != OURS}
    if not measured:
        return {}
    return {
        heading: median(table.rows[row][heading] / values[measure] for row, values in measured.items())
        for heading, measure in table.columns.items()
    }


def comparison_json(
    table: PaperTable, scores: Mapping[str, MethodScore], others: Sequence[MethodScore]
) -> dict[str, Any]:
    """Everything that ``report`` shows, and the measures of each image, ready for JSON."""
    return {
        'title': table.title,
        'columns': dict(table.columns),
        'printed': {row: dict(numbers) for row, numbers in table.rows.items()},
        'printed_to_measured': printed_to_measured(table, scores),
        'notes': [{'about': _about(note), 'text': note.text} for note in table.notes],
        'measured': {row: as_json([score])[score.name] for row, score in scores.items()},
        'not_printed': as_json(others),
    }


def find_runs(table: PaperTable, folder: Path) -> dict[str, list[Path]]:
    """The checkpoints ``NAME/seed_N/checkpoint.pt`` of the table's runs below ``folder``, trained to their end.

    Raises:
        InputError: there is none of them, or one is damaged.
    """
    from ldfusion_training.runs.trainer import read_checkpoint

    def is_whole(checkpoint: Path) -> bool:
        content = read_checkpoint(checkpoint)
        return bool(content['step'] >= content['trainer']['steps'])

    found = {run.name: sorted(filter(is_whole, folder.glob(f'{run.name}/seed_*/checkpoint.pt'))) for run in table.runs}
    if not any(found.values()):
        advice = how_to_train(table.runs[0], folder)
        raise InputError(f'{folder}: holds no whole run of this table; --train trains all, or {advice}')
    return {name: files for name, files in found.items() if files}


def how_to_train(run: Run, folder: Path) -> str:
    """The command that makes a run, with its first seed."""
    return (
        f'{run.made_by}ldfusion train fusion --config training/configs/ablations/{run.name}.yaml '
        f'--set trainer.seed=0 --output {folder / run.name / "seed_0"}'
    )


def _row(table: PaperTable, row: str, score: MethodScore | None) -> list[str | float]:
    values = score.mean() if score else {}
    cells: list[str | float] = [row]
    for heading, measure in table.columns.items():
        printed = table.rows.get(row, {}).get(heading)
        marks = ''.join(f' ({mark})' for mark, note in _marks(table) if note.concerns(row, heading))
        cells += [values.get(measure, UNDEFINED), UNDEFINED if printed is None else f'{printed:.4f}{marks}']
    return [*cells, values.get(MUTUAL_INFORMATION, UNDEFINED)]


def _marks(table: PaperTable) -> list[tuple[str, Note]]:
    return list(zip(string.ascii_lowercase, table.notes, strict=False))


def _about(note: Note) -> list[str]:
    return [*note.columns, *(f'{column} of {row}' for row, column in note.cells)]


def _plain(name: str) -> str:
    return ''.join(letter for letter in name.lower() if letter.isalnum())
