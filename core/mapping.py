"""The mapping network of StyleGAN and StyleGAN2: z and a class become w, the style of all layers.

"A Style-Based Generator Architecture for Generative Adversarial Networks", Karras et al. 2019, arXiv
1812.04948, section 2; truncation in w: appendix B.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .equalised import Linear, activate, normalise


class Mapping(nn.Module):
    """z and class label -> w, always in float32.

    `z` may be 0, so that only the label counts; with `labels` = 0 only z does. `embed`: width of the embedded
    label. `widths`: outputs of the layers, the last is that of w.
    """

    def __init__(self, z: int, labels: int, embed: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.z, self.labels, self.depth = z, labels, len(widths)
        if labels:
            self.embed = Linear(labels, embed)
        inputs = (z + embed if labels else z, *widths)
        for i, width in enumerate(widths):
            self.add_module(f"fc{i}", Linear(inputs[i], width, gain=0.01))

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """`z` [N,Z], `c` [N,labels] one-hot, by default zeros: no class -> w [N,W]."""
        if z.ndim != 2 or z.shape[1] != self.z:
            raise ValueError(f"The network maps latents z of {self.z} numbers; got a {list(z.shape)} tensor.")
        with torch.autocast(z.device.type, enabled=False):
            x = normalise(z.float())                                               # [N,Z]
            if self.labels:
                x = torch.cat([x, normalise(self.embed(self._labels(c, x)))], 1)   # [N,Z+E]
            for i in range(self.depth):
                x = activate(self.get_submodule(f"fc{i}")(x))                      # [N,W]
        return x

    def _labels(self, c: Tensor | None, x: Tensor) -> Tensor:
        if c is None:
            return x.new_zeros(len(x), self.labels)
        if c.shape != (len(x), self.labels):
            raise ValueError(f"The network knows {self.labels} classes, so {len(x)} latents need labels "
                             f"[{len(x)}, {self.labels}]; got {list(c.shape)}.")
        return c.float()


class LatentMapping(Mapping):
    """z -> the `num_ws` rows of w. `w_avg` [W]: mean of w, where truncation leads to."""

    w_avg: Tensor

    def __init__(self, num_ws: int, z: int, labels: int, embed: int, widths: tuple[int, ...]) -> None:
        super().__init__(z, labels, embed, widths)
        self.num_ws = num_ws
        self.register_buffer("w_avg", torch.zeros(widths[-1]))

    def forward(self, z: Tensor, c: Tensor | None = None, psi: float = 1,
                cutoff: int | None = None) -> Tensor:
        """`z` [N,Z], `c` [N,labels] or None -> ws [N,num_ws,W].

        `psi`: 1 leaves w as it is, 0 gives the mean; on the rows below `cutoff`, by default all.
        """
        ws = self.map(z, c)[:, None].repeat(1, self.num_ws, 1)
        return self.truncate(ws, psi, cutoff)

    def truncate(self, ws: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """[N,num_ws,W] -> the same, rows below `cutoff` nearer to the mean."""
        near = torch.lerp(self.w_avg, ws[:, :cutoff], psi)
        return near if cutoff is None else torch.cat([near, ws[:, cutoff:]], 1)

    @torch.no_grad()
    def update_w_avg(self, w: Tensor, decay: float = 0.998) -> None:
        """One step of the running mean from a batch of w [N,W]; the trainer decides when."""
        self.w_avg.copy_(torch.lerp(w.detach().float().mean(0), self.w_avg, decay))
