"""How well label maps agree with the truth: mIoU and pixel accuracy over many pictures."""
from __future__ import annotations

import torch
from torch import Tensor


class Confusion:
    """Counts of pixels over all pictures: `table` [count,count] int64, true label by found label.

    `unknown`: pixels whose true label is this one do not count.
    """

    def __init__(self, count: int, unknown: int | None = None) -> None:
        self.count, self.unknown = count, unknown
        self.table = torch.zeros(count, count, dtype=torch.int64)

    def add(self, found: Tensor, truth: Tensor) -> None:
        """Label maps of one shape, any batch. Raises ValueError for two shapes and for labels beyond."""
        if found.shape != truth.shape:
            raise ValueError("the found labels should have the shape of the true ones; "
                             f"got {list(found.shape)} and {list(truth.shape)}.")
        known = torch.ones_like(truth, dtype=torch.bool) if self.unknown is None else truth != self.unknown
        found, truth = found[known].long(), truth[known].long()
        for name, labels in (("found", found), ("true", truth)):
            beyond = labels[(labels < 0) | (labels >= self.count)]
            if len(beyond):
                raise ValueError(f"the {name} labels should be 0..{self.count - 1}; got {int(beyond[0])}.")
        pairs = torch.bincount(truth * self.count + found, minlength=self.count**2)
        self.table += pairs.view(self.count, self.count).cpu()

    def iou(self) -> Tensor:
        """Intersection over union per label, [count] float64; NaN for labels that never occur."""
        hits = self.table.diagonal().double()
        return hits / (self.table.sum(0) + self.table.sum(1) - hits)

    def result(self) -> dict[str, float]:
        """`miou`: mean over the labels that occur; `pixel_accuracy`: share of right pixels. Both 0..1."""
        if not self.table.any():
            raise ValueError("there is no pixel with a known label; mIoU needs at least one.")
        accuracy = self.table.diagonal().sum() / self.table.sum()
        return {"miou": float(self.iou().nanmean()), "pixel_accuracy": float(accuracy)}
