"""``ldfusion models list`` and ``fetch``: which published models are known, and how they come here."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class List:
    """List published models that are known by name, and which of them are on this machine."""


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Bring a published model onto this machine: from the hub, or from a folder or an archive.

    Its revision and the sha256 of every file are written beside it (ldfusion.lock.json). An interrupted download goes
    on where it stopped. Models lie in ~/.cache/ldfusion_ros/models, or where LDFUSION_MODELS says.
    """

    name: str = field(kw_only=False)
    """OWNER/NAME, or ARCH/TAG of open_clip"""
    revision: str = ''
    """branch, tag or commit (the newest, or what is there already)"""
    source: Path | None = None
    """folder, .zip or .tar.gz that holds the model, instead of the hub"""
    again: bool = False
    """replace what is there"""
