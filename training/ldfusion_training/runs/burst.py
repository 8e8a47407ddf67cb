"""All that a training needs, in one file: for a machine with a GPU that is lent for minutes and reaches no network."""

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

import ldfusion_models
import ldfusion_training
from ldfusion_models.errors import InputError
from ldfusion_models.files import data_folder, written_whole

HERE, RECIPE, SCRIPT, OUTPUT = 'here', 'recipe.yaml', 'burst.sh', 'out'
# Paths of the recipe hold from HERE as they did where it was packed, so that a run may go on on either machine.
_SCRIPT = f"""#!/bin/sh
# On the machine with the GPU. More options are handed on: sh burst.sh --minutes 4. Results: {HERE}/{OUTPUT}
cd "$(dirname "$0")/{HERE}" || exit 2
if ls ../wheels/*.whl >/dev/null 2>&1; then
    python3 -m pip install -q --no-index --find-links ../wheels ../wheels/*.whl || exit 2
fi
PYTHONPATH=../models:../training exec python3 -c 'from ldfusion_training.cli import main; raise SystemExit(main())' \\
    burst STAGE --config {RECIPE} --output {OUTPUT} "$@"
"""


def pack(file: Path, stage: str, recipe: dict[str, Any], run: Path, wheels: Sequence[Path]) -> int:
    """Write a tar file: script, packages with their weights, the recipe, the data that it names, and the run so far.

    Args:
        file: to write.
        stage: that is trained.
        recipe: its settings; what is a file or folder here, or FOLDER:PATTERN, is packed.
        run: its ``checkpoint.pt`` is packed if there is one, and the training goes on with it.
        wheels: Python packages that the machine lacks.

    Returns:
        bytes written.

    Raises:
        InputError: a wheel is missing, a path of the recipe has no place in the file, or the file can't be written.
    """
    for wheel in wheels:
        if not wheel.is_file():
            raise InputError(f'{wheel}: no such file; fetch it by pip download')
    content = {f'wheels/{wheel.name}': wheel for wheel in wheels}
    for module, name in ((ldfusion_models, 'models'), (ldfusion_training, 'training')):
        package = Path(str(module.__file__)).parent
        content[f'{name}/{package.name}'] = package
    content['models/weights'] = data_folder(str(ldfusion_models.__file__), 'weights')
    content['training/configs'] = data_folder(str(ldfusion_training.__file__), 'configs')
    content |= {_place(path): path for path in _paths(recipe)}
    if (run / 'checkpoint.pt').is_file():
        content[f'{HERE}/{OUTPUT}/checkpoint.pt'] = run / 'checkpoint.pt'
    texts = {f'{HERE}/{RECIPE}': yaml.safe_dump(recipe, sort_keys=False), SCRIPT: _SCRIPT.replace('STAGE', stage)}
    with written_whole(file) as temporary, tarfile.open(temporary, 'w') as tar:
        for place, source in content.items():
            tar.add(source, place, filter=_without_caches)
        for place, text in texts.items():
            entry = tarfile.TarInfo(place)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return file.stat().st_size


def _paths(settings: Any) -> Iterator[Path]:
    """The files and folders that strings of the settings name."""
    if isinstance(settings, dict | list | tuple):
        for value in settings.values() if isinstance(settings, dict) else settings:
            yield from _paths(value)
    elif isinstance(settings, str) and settings:
        yield from (path for text in {settings, settings.partition(':')[0]} if (path := Path(text)).exists())


def _place(path: Path) -> str:
    """Where in the file a path lies, so that it holds from HERE."""
    place = os.path.normpath(Path(HERE) / path)
    if path.is_absolute() or place.startswith('..'):
        raise InputError(f'{path}: name it relative to this folder, at most one folder up, to pack it')
    return place


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.endswith('__pycache__') else entry
