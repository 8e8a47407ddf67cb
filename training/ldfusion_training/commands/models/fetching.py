"""``ldfusion models list`` and ``fetch``: which published models are known, and how they come here."""

from ldfusion_models.published.catalogue import KNOWN
from ldfusion_models.published.fetch import fetch
from ldfusion_models.published.store import folder_of, read_lock, store_folder
from ldfusion_training.options.models.fetching import Fetch, List
from ldfusion_training.report.tables import markdown_table


def run_list(options: List) -> int:
    """Print the models that are known or installed."""
    rows = []
    for known in KNOWN:
        size = f'{known.megabytes} MB'
        rows.append(
            [
                f'{known.name} ({known.also})' if known.also else known.name,
                known.task,
                size,
                known.licence,
                known.read or 'nothing',
                known.remark,
                _state(known.name),
            ]
        )
    others = {path.name.replace('--', '/', 1) for path in store_folder().glob('*--*')} - {known.name for known in KNOWN}
    rows += [[name, '', '', '', '', '', _state(name)] for name in sorted(others)]
    print(markdown_table(['model', 'for', 'size', 'licence', 'read on its page', 'made for', 'here'], rows))
    print('Size and licence are from memory but for what was read on its page. Read the licence before use.')
    print('ldfusion models fetch NAME brings one.')
    return 0


def run_fetch(options: Fetch) -> int:
    """Install one model."""
    lock = fetch(options.name, options.revision, options.source, options.again)
    print(f'{folder_of(options.name)}: {len(lock.files)} files, revision {lock.revision or "none"}, of {lock.source}')
    return 0


def _state(name: str) -> str:
    lock = read_lock(name)
    return 'no' if lock is None else lock.revision[:12] or lock.source
