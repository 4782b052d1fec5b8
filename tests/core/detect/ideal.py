"""People whose place is known, and a network that sees them perfectly."""
from __future__ import annotations

import torch
from anyone.core.detect.labels import Labels, make_targets
from anyone.core.detect.network import GRID, REGION_COUNT, SIDE, Maps

# One standing figure, 1 = its height; the origin is its middle.
FIGURE = torch.tensor([[0, -.42], [0, -.32], [-.1, -.31], [-.15, -.17], [-.18, -.03], [.1, -.31], [.15, -.17],
                       [.18, -.03], [-.06, .0], [-.08, .22], [-.09, .42], [.06, .0], [.08, .22], [.09, .42],
                       [-.02, -.44], [.02, -.44], [-.04, -.43], [.04, -.43]])


def figures(places) -> torch.Tensor:
    """(x, y, height) of each -> keypoints [N,18,2]."""
    return torch.stack([FIGURE * height + torch.tensor([x, y]) for x, y, height in places])


def drawn(keypoints: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Which figure stands at each cell: [N,18,2] and places [...,2] in equal units -> [...] 0, 1..N."""
    owner = torch.zeros(cells.shape[:-1], dtype=torch.long)
    for number, person in enumerate(keypoints, 1):
        height = person[10, 1] - person[0, 1]
        low = person.amin(0) - torch.stack([height * 0, height * 0.08])
        high = person.amax(0) + torch.stack([height * 0, height * 0.08])
        owner[((cells >= low) & (cells <= high)).all(-1)] = number
    return owner


def ideal_maps(labels: Labels) -> Maps:
    """The answer of a perfect network, as logits."""
    targets = make_targets(labels)
    regions = torch.nn.functional.one_hot(targets.regions, REGION_COUNT).movedim(-1, 1) * 20.0
    heat, mask = (torch.logit(t.clamp(1e-5, 1 - 1e-5)) for t in (targets.heat, targets.mask))
    return Maps(heat, regions, mask, targets.centre)


class PerfectNet(torch.nn.Module):
    """Sees `people` [N,18,2], given in pixels of a picture made by `position_picture`: the colours tell which
    part of it a view shows, so that any crop and scale is answered rightly. Legs are region 7, the rest 4."""

    def __init__(self, people: torch.Tensor, height: int, width: int, visibility: int = 2) -> None:
        super().__init__()
        self.people, self.size = people, torch.tensor([width, height]).float()
        self.visibility = visibility
        self.views = 0

    def forward(self, image: torch.Tensor) -> Maps:
        self.views += len(image)
        answers = [ideal_maps(self.labels(view)) for view in image]
        return Maps(*(torch.cat([getattr(a, name) for a in answers])
                      for name in ("heat", "regions", "mask", "centre")))

    def labels(self, view: torch.Tensor) -> Labels:
        line = torch.arange(SIDE) + 0.5
        pixels = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
        known = (view[2] > 0.99) & (view[:2] > 0.02).all(0) & (view[:2] < 0.98).all(0)
        places, here = view[:2].movedim(0, -1)[known] * self.size, pixels[known]
        apart = here - here.mean(0)
        scale = ((places - places.mean(0)) * apart).sum(0) / apart.square().sum(0)
        origin = places.mean(0) - here.mean(0) * scale                  # picture = origin + view * scale
        keypoints = (self.people - origin) / scale
        cells = drawn(keypoints, pixels.view(GRID, 2, GRID, 2, 2).mean((1, 3)))
        waist = keypoints[:, 8, 1] if len(keypoints) else torch.zeros(1)
        low = pixels[:, :, 1].view(GRID, 2, GRID, 2).mean((1, 3)) > waist[(cells - 1).clamp(min=0)]
        regions = torch.where(cells > 0, torch.where(low, 7, 4), 0)
        inside = ((keypoints >= 0) & (keypoints < SIDE)).all(-1)
        if not len(keypoints):
            keypoints, inside = torch.zeros(1, 18, 2), torch.zeros(1, 18, dtype=torch.bool)
        return Labels(keypoints[None], (inside * self.visibility).byte()[None], cells[None], regions[None])


def position_picture(height: int, width: int) -> torch.Tensor:
    """[1,H,W,3]: red = x, green = y, blue = 1."""
    x = ((torch.arange(width) + 0.5) / width).expand(height, width)
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    return torch.stack([x, y, torch.ones(height, width)], -1)[None]
