"""Loss of boxes: cells are assigned to things by what costs least (SimOTA of YOLOX, Ge et al. 2021).

Without boxes, what is found in one image is held to what is found in others (``agreement_loss``).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ldfusion_models.networks.captioner import STRIDES, SceneOutput

# Cells whose centre lies so many strides about a thing's centre may be its.
RADIUS = 1.5
# Cells of a thing: as many as the overlaps of its best cells sum up to, of so many.
CANDIDATES = 10
# A cell with a lower score finds nothing whose box counts.
SURE = 0.2


def cell_centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres (N, 2) of all cells in pixels, and the stride (N,) of each."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing='ij')
        centres.append((torch.stack([columns, rows], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(centres[-1]),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4), element by element."""
    size = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(
        min=0
    )
    shared = size.prod(-1)
    areas = (first[..., 2:] - first[..., :2]).clamp(min=0).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1)
    return shared / (areas - shared).clamp(min=1e-6)


def detection_loss(
    output: SceneOutput, boxes: Tensor, classes: Tensor, ignored: Tensor, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Terms ``boxes``, ``objectness`` and ``classes`` of a batch.

    Args:
        output: of the network.
        boxes: (B, M, 4) pixels; rows of zeros are none.
        classes: (B, M) numbers.
        ignored: (B, K, 4) regions where nothing is known.
        size: height and width of the images.
    """
    centres, strides = (each.to(boxes.device) for each in cell_centres(*size))
    total = {name: output.objectness.new_zeros(()) for name in ('boxes', 'objectness', 'classes')}
    assigned = 0
    for row in range(len(boxes)):
        wanted = boxes[row][(boxes[row, :, 2] > boxes[row, :, 0])]
        kinds = classes[row][: len(wanted)]
        cells, things = assign(output, row, wanted, kinds, centres, strides)
        assigned += len(cells)
        positive = torch.zeros_like(output.objectness[row])
        positive[cells] = 1.0
        inside = ((centres[:, None] > ignored[row, :, :2]) & (centres[:, None] < ignored[row, :, 2:])).all(-1).any(1)
        weight = (~inside | (positive > 0)).float()
        total['objectness'] = total['objectness'] + F.binary_cross_entropy_with_logits(
            output.objectness[row], positive, weight=weight, reduction='sum'
        )
        if len(cells):
            share = overlaps(output.boxes[row, cells], wanted[things])
            total['boxes'] = total['boxes'] + (1 - share**2).sum()
            target = torch.zeros_like(output.classes[row, cells])
            target[torch.arange(len(cells)), kinds[things]] = share.detach()
            total['classes'] = total['classes'] + F.binary_cross_entropy_with_logits(
                output.classes[row, cells], target, reduction='sum'
            )
    return {name: value / max(1, assigned) for name, value in total.items()}


def agreement_loss(fused: SceneOutput, sources: Sequence[SceneOutput]) -> Tensor:
    """How far what is found in a fused image is from what is found in its sources, in each cell by the surest.

    Scores by quality focal loss (Li et al. 2020), boxes by 1 - IoU weighted by the score, over the sum of sure scores.
    """
    of_sources = torch.stack([_scores(each) for each in sources])
    wanted, found = of_sources.amax(0), _scores(fused)
    missed = (wanted - found).square() * F.binary_cross_entropy(found, wanted, reduction='none')
    surest = of_sources.amax(-1).argmax(0)[None, :, :, None].expand(1, -1, -1, 4)
    boxes = torch.stack([each.boxes for each in sources]).gather(0, surest)[0]
    sure = wanted.amax(-1) * (wanted.amax(-1) > SURE)
    moved = sure * (1.0 - overlaps(fused.boxes, boxes))
    return (missed.sum() + moved.sum()) / sure.sum().clamp(min=1.0)


def _scores(output: SceneOutput) -> Tensor:
    """(B, N, classes) in [0, 1]."""
    return output.objectness.sigmoid()[..., None] * output.classes.sigmoid()


@torch.no_grad()
def assign(
    output: SceneOutput, row: int, wanted: Tensor, kinds: Tensor, centres: Tensor, strides: Tensor
) -> tuple[Tensor, Tensor]:
    """Cells and, for each, the thing that it is to find."""
    none = torch.zeros(0, dtype=torch.long, device=centres.device)
    if not len(wanted):
        return none, none
    middle = (wanted[:, :2] + wanted[:, 2:]) / 2
    near = ((centres[:, None] - middle).abs() < RADIUS * strides[:, None, None]).all(-1)
    inside = ((centres[:, None] > wanted[:, :2]) & (centres[:, None] < wanted[:, 2:])).all(-1)
    cells = (near | inside).any(1).nonzero()[:, 0]
    if not len(cells):
        return none, none
    share = overlaps(output.boxes[row, cells, None].float(), wanted)
    score = (output.classes[row, cells].sigmoid() * output.objectness[row, cells, None].sigmoid()).float().sqrt()
    kind = F.one_hot(kinds, score.shape[1]).float()
    missed = F.binary_cross_entropy(
        score[:, None].expand(-1, len(wanted), -1), kind.expand(len(cells), -1, -1), reduction='none'
    ).sum(-1)
    cost = missed - 3.0 * (share + 1e-8).log() + 1e5 * ~(near & inside)[cells]
    chosen = torch.zeros_like(cost, dtype=torch.bool)
    counts = share.topk(min(CANDIDATES, len(cells)), dim=0).values.sum(0).long().clamp(min=1)
    for thing, count in enumerate(counts.tolist()):
        chosen[cost[:, thing].topk(count, largest=False).indices, thing] = True
    # A cell wanted by several goes to the one that it costs least.
    best = cost.masked_fill(~chosen, float('inf')).argmin(1)
    taken = chosen.any(1)
    return cells[taken], best[taken]
