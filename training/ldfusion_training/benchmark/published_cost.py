"""What published models cost on this machine: at full size, with random weights, so that nothing is downloaded."""

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from ldfusion_models.files import read_yaml
from ldfusion_models.mappings import from_mapping

MODELS = Path(__file__).with_name('published_models.yaml')
# That captioners write, and that texts and instructions have.
TOKENS, WORDS, CONTEXT = 20, 20, 77


@dataclass(frozen=True)
class Architecture:
    """Published models of one architecture and size.

    Attributes:
        models: OWNER/NAME of each.
        image: width and height that the network is given; none for text towers.
        image_tokens: places that the image takes among the words; 0 where the network has none.
        config: as in config.json, for transformers.
        tower: what open_clip calls it, of text towers.
    """

    models: tuple[str, ...]
    image: tuple[int, ...] = ()
    image_tokens: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    tower: str = ''

    @property
    def given(self) -> str:
        """What a run is given and gives, in words."""
        if self.tower:
            return f'a text of {CONTEXT} tokens'
        size = f'{self.image[0]}x{self.image[1]}'
        return size if self.is_depth else f'{size}, {TOKENS} tokens written'

    @property
    def is_depth(self) -> bool:
        """Whether it estimates depth; else it writes, or embeds texts."""
        from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES

        return self.config.get('model_type') in MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES

    def make(self) -> Any:
        """The network with random weights, in eval mode."""
        if self.tower:
            import open_clip

            tower: Any = open_clip.create_model(self.tower)
            tower.visual = None
            return tower.eval()
        import transformers

        kind: Any = (
            transformers.AutoModelForDepthEstimation if self.is_depth else transformers.AutoModelForImageTextToText
        )
        return kind.from_config(transformers.AutoConfig.for_model(**self.config)).eval()

    def run(self, network: Any) -> None:
        """One image or text through the network, on whatever device it is."""
        if self.tower:
            network.encode_text(torch.randint(1, 40_000, (1, CONTEXT)))
            return
        width, height = self.image
        image = torch.rand(1, 3, height, width, device=network.device)
        if self.is_depth:
            network(pixel_values=image)
            return
        inputs: dict[str, Any] = {'pixel_values': image[None] if network.config.model_type == 'idefics3' else image}
        if self.image_tokens:
            words = [[network.config.image_token_id] * self.image_tokens + list(range(5, 5 + WORDS))]
            inputs['input_ids'] = torch.tensor(words)
        network.generate(**inputs, min_new_tokens=TOKENS, max_new_tokens=TOKENS, do_sample=False)


@dataclass(frozen=True)
class Cost:
    """What one architecture costs.

    Attributes:
        million_parameters: in millions.
        gflop: of one run, 2 operations per multiply-add.
        milliseconds: of the fastest of the runs after the first; None where it was not run.
        processor_milliseconds: of all threads of the one that took least; what else the machine does hardly changes it.
        megabytes: peak memory of a process that does nothing else, libraries included; None where it was not run.
        remark: why it was not run.
    """

    million_parameters: float
    gflop: float
    milliseconds: float | None = None
    processor_milliseconds: float | None = None
    megabytes: float | None = None
    remark: str = ''


def read_architectures() -> list[Architecture]:
    """Those of the models that are known by name."""
    return [from_mapping(Architecture, entry, str(MODELS)) for entry in read_yaml(MODELS)]


def measure(architecture: Architecture, runs: int, threads: int, largest_gigabytes: float) -> Cost:
    """The cost of an architecture, in a process of its own; one whose weights are larger is counted, but not run."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(measure_here, architecture, runs, threads, largest_gigabytes).result()


@torch.inference_mode()
def measure_here(architecture: Architecture, runs: int, threads: int, largest_gigabytes: float) -> Cost:
    """The same in this process, whose peak memory counts whatever it has done before."""
    torch.set_num_threads(threads or torch.get_num_threads())
    torch.manual_seed(0)
    gigabytes, free = 0.0, psutil.virtual_memory().available / 1e9
    if architecture.is_depth:
        with torch.device('meta'):
            network = architecture.make()
        gigabytes = sum(parameter.numel() for parameter in network.parameters()) * 4 / 1e9
    is_run = gigabytes <= min(largest_gigabytes, free / 2)
    if is_run:
        network = architecture.make()
    count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    with FlopCounterMode(display=False) as counter:
        architecture.run(network)
    gflop = counter.get_total_flops() / 1e9
    if not is_run:
        return Cost(count, gflop, remark=f'not run: weights of {gigabytes:.1f} GB, {free:.0f} GB of memory are free')
    times = []
    for _ in range(runs):
        start, processor = time.perf_counter(), time.process_time()
        architecture.run(network)
        times.append((time.perf_counter() - start, time.process_time() - processor))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fastest, least = (1e3 * min(each) for each in zip(*times, strict=True))
    return Cost(count, gflop, fastest, least, peak)
