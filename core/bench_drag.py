"""StyleGAN2 in published sizes, drawing and dragged: jobs to time, and the memory of steps of dragging."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from .drag import DragSettings, Session
from .drag.plain import WholeMap
from .stylegan.drag import BLOCK, DragSource
from .stylegan.fast import FastGenerator
from .stylegan.network import Config, Generator
from .stylegan.windows import drag_source

Job = Callable[[], object]
CHANNELS = (512, 512, 512, 512, 512, 256, 128, 64)        # of 4x4 to 512x512, as published (config-f)
SIZES = (256, 512)


def make_generator(size: int) -> tuple[FastGenerator, Tensor]:
    """With random weights, and a latent [1,num_ws,W] of it."""
    blocks = size.bit_length() - 2
    generator = FastGenerator(Generator(Config(channels=CHANNELS[:blocks])).initialise().eval())
    generator.requires_grad_(False)
    return generator, torch.randn(1, generator.config.num_ws, generator.config.w) / 2


def drawings(sizes: tuple[int, ...] = SIZES) -> Iterator[tuple[str, dict[str, Job]]]:
    """Name -> its forms: a latent becomes a picture."""
    for size in sizes:
        generator, ws = make_generator(size)
        yield f"StyleGAN2 {size}x{size}", {"plain": partial(generator.generator.picture, ws),
                                           "fast": partial(generator.picture, ws)}


def drag_steps(sizes: tuple[int, ...] = SIZES) -> Iterator[tuple[str, dict[str, Job]]]:
    """Name -> its forms: one step with one handle, without and with a mask that fixes most of the picture.

    The plain step draws its picture, as published.
    """
    for size in sizes:
        generator, ws = make_generator(size)
        mask = torch.zeros(size, size)
        mask[size // 5:size * 3 // 5, size // 4:size * 3 // 4] = 1
        for name, free in (("no mask", None), ("mask", mask)):
            yield f"Drag step {size}, {name}", step_forms(generator, ws, free)


def step_forms(generator: FastGenerator, ws: Tensor, mask: Tensor | None) -> dict[str, Job]:
    size = generator.config.size(-1)[0]
    start, end = [(size * 0.5, size * 0.4)], [(size * 0.3, size * 0.6)]
    plain = Session(DragSource(generator, ws), start, end, DragSettings(), mask, WholeMap)
    fast = Session(drag_source(generator, ws), start, end, DragSettings(), mask)
    with torch.no_grad():
        seen = generator.generator.features(ws, BLOCK)

    def published() -> None:
        step(plain)
        generator.generator.picture(ws, after=seen)

    return {"plain": published, "fast": lambda: step(fast)}


def step(session: Session) -> None:
    session.observe()
    session.update()


def drag_memory(sizes: tuple[int, ...] = SIZES) -> list[dict[str, object]]:
    """MiB that one step takes besides the weights."""
    return [{"step": name, "form": form, "peak_mib": peak_bytes(job) / 2**20}
            for name, forms in drag_steps(sizes) for form, job in forms.items()]


def peak_bytes(job: Job) -> int:
    """Most memory of tensors alive at once, of those made by the second call of `job`."""
    job()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        job()
    events = profiler.profiler.kineto_results.events()
    return max(accumulate(event.nbytes() for event in events if event.name() == "[memory]"))
