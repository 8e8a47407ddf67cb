"""``ldfusion train STAGE``: run one training stage from its recipe; ``ldfusion burst``: on a GPU lent for minutes."""

from dataclasses import dataclass, field
from pathlib import Path

from ldfusion_training.options.types import Positive, Repeated


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train one stage of the networks."""

    stage: str = field(kw_only=False)
    """diffusion, fusion, student, depth, depth_teacher, clip, captioner or modulation"""
    config: Path | None = None
    """recipe (YAML); default: the one of the shipped weights"""
    set: Repeated = ()
    """override, e.g. trainer.steps=10"""
    output: Path | None = None
    """folder for checkpoints and logs; default runs/STAGE"""
    resume: bool = False
    """go on from the checkpoint in the output folder"""
    dry_run: bool = False
    """print the resolved settings and stop"""


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Train for some minutes on a GPU, then time our engines and three published networks there.

    Goes on with the checkpoint in the output folder, in bfloat16. --pack writes all that it takes into one file
    instead: for a machine that is lent for minutes, has Python and PyTorch at most, and reaches no network.
    """

    stage: str = field(kw_only=False)
    """what is trained, as in ldfusion train"""
    config: Path | None = None
    """recipe (YAML); default: the one of the shipped weights"""
    set: Repeated = ()
    """override, e.g. trainer.batch_size=64"""
    minutes: Positive = 8.0
    """of training; the learning rate falls within them"""
    output: Path | None = None
    """folder of checkpoint, logs and latency.json; default runs/STAGE"""
    pack: Path | None = None
    """write this tar file; there: tar -xf FILE && sh burst.sh"""
    wheels: tuple[Path, ...] = ()
    """packages that the machine lacks, by pip download, for --pack"""
    cpu: bool = False
    """try it without a GPU, in float32 with tiny images"""
