"""``ldfusion models cost``: what published models cost on this machine."""

from dataclasses import dataclass, field
from pathlib import Path

from ldfusion_training.options.types import Count, Positive


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
