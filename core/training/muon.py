"""Muon: momentum whose every step turns a layer's weights equally far in all directions.

K. Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024. PyTorch's own takes
matrices only; this one takes convolutions, too. On the embedded detector it saves about half of the steps.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)                 # a, b, c of x -> ax + b(xx')x + c(xx')²x
MOMENTUM, BETAS, EPS = 0.95, (0.9, 0.99), 1e-8


class Muon(Optimizer):
    """Muon for the weights of hidden layers, Adam for all other parameters.

    Hidden are weights of two or more dimensions, seen as matrices [out, everything else], that are not in
    `others` (first and last layers belong there) and have more than three inputs. Transposed convolutions are
    one matrix, too, where their stride divides the kernel: from the inputs that meet in a place to what all
    phases put out there. `lr`: of Muon, relative to weights of norm 1 per output; `adam_lr`: of the others.
    """

    def __init__(self, net: nn.Module, lr: float, adam_lr: float,
                 others: Iterable[nn.Parameter] = ()) -> None:
        kept = {id(p) for p in others}
        self.strides = {id(module.weight): module.stride for module in net.modules()
                        if isinstance(module, nn.ConvTranspose2d)
                        and not any(k % s for k, s in zip(module.kernel_size, module.stride, strict=True))}
        hidden = [p for p in net.parameters() if p.ndim > 1 and p.shape[1] > 3 and id(p) not in kept]
        chosen = {id(p) for p in hidden}
        rest = [p for p in net.parameters() if id(p) not in chosen]
        super().__init__([{"params": hidden, "lr": lr, "hidden": True},
                          {"params": rest, "lr": adam_lr, "hidden": False}], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    (self._turn if group["hidden"] else self._adam)(p, p.grad, group["lr"])

    def _turn(self, p: Tensor, grad: Tensor, lr: float) -> None:
        state = self.state[p]
        momentum = state.setdefault("momentum", torch.zeros_like(p))
        momentum.lerp_(grad, 1 - MOMENTUM)
        update = grad.lerp(momentum, MOMENTUM)
        if id(p) in self.strides:
            update = by_phase(update, self.strides[id(p)])                         # [out,s,s,in,k/s,k/s]
            turned = orthogonalised(update.flatten(3).flatten(0, 2))
            back = turned.view_as(update).permute(3, 0, 4, 1, 5, 2)
        else:
            turned = orthogonalised(update.flatten(1))
            back = turned
        rows, columns = turned.shape
        p.add_(back.reshape(p.shape), alpha=-lr * max(1.0, rows / columns) ** 0.5)

    def _adam(self, p: Tensor, grad: Tensor, lr: float) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
        state["step"] += 1
        mean = state["mean"].lerp_(grad, 1 - BETAS[0])
        square = state["square"].mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
        mean_bias, square_bias = (1 - beta ** state["step"] for beta in BETAS)
        p.addcdiv_(mean, (square / square_bias).sqrt_().add_(EPS), value=-lr / mean_bias)


def by_phase(weight: Tensor, stride: tuple[int, ...]) -> Tensor:
    """A transposed convolution's [in,out,k,k] -> [out,s,s,in,k/s,k/s], s the stride, which divides k.

    Each of the s x s pixels that one input pixel becomes has taps of its own.
    """
    down, across = stride
    return weight.unflatten(3, (-1, across)).unflatten(2, (-1, down)).permute(1, 3, 5, 0, 2, 4)


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """[m,n] -> about U V' of its singular value decomposition U S V': singular values 0.7 to 1.2.

    Newton-Schulz iteration with a quintic that is steep at zero. All iterates are polynomials of the small
    xx' times x, so the long side takes part in two products only.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    gram = x @ x.mT
    product = torch.eye(len(x)).to(x)
    for _ in range(steps):
        factor = b * gram + c * gram @ gram
        factor.diagonal().add_(a)
        product, gram = factor @ product, factor @ gram @ factor
    x = product @ x
    return x.mT if tall else x
