"""The same generator, computed sooner.

What changes against `network.py` (results agree to rounding): the spectral norm is divided out once; scale
and shift of a SEAN block are computed once per distinct neighbourhood of the label map (`patterns.py`)
instead of once per pixel, folded with the batch norm, and looked up; the style convolution becomes nine
products per region; 3x3 convolutions on CPUs need a quarter of the multiplications (`core/winograd.py`).

Kept from call to call: what belongs to a neighbourhood, until there are too many, and what belongs to the
style of a region. So a new style of one region, some strokes of a brush, or the next picture of a batch cost
little. Masks that are not one-hot take the plain form.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..winograd import Pool, conv3x3
from .network import (
    Encoder,
    Generator,
    ResidualBlock,
    SeanNorm,
    Size,
    SpectralConv,
    check_inputs,
    nearest,
    region_means,
    stage_codes,
    stage_noise,
    to_mask,
)
from .patterns import Patterns, find_patterns

# What is handled at once; on CPUs, whose caches are small. Memory is held down by the last two.
ROWS = 1 << 10                                            # neighbourhoods in a product
STRIP = 1 << 18                                           # numbers looked up
BAND = 1 << 13                                            # pixels convolved
CHANNELS = 128                                            # channels convolved where Winograd's method pays
MANY = 512                                                # pixels from which it does
TILE = 4                                                  # rows of its tiles
KEPT = 1 << 13                                            # neighbourhoods that a residual block remembers


def at_once(limit: int, x: Tensor) -> int:
    return limit if x.device.type == "cpu" else 1 << 40


def label_map(regions: Tensor, labels: int) -> Tensor | None:
    """Label map [B,h,w] of a label map or one-hot mask, R = no label; None of any other mask."""
    if regions.ndim == 3:
        return regions.to(torch.int64).clamp(max=labels)
    hot = regions == 1
    if not (hot | (regions == 0)).all() or (count := hot.sum(1)).max() > 1:
        return None
    return torch.where(count > 0, hot.int().argmax(1), labels)


def taps(weight: Tensor) -> Tensor:
    """[C_out,C,3,3] -> [3,3,C,C_out], free of cost where `folded` laid it out."""
    return weight.permute(2, 3, 1, 0).contiguous()


def folded(conv: SpectralConv) -> Tensor:
    """The weight divided by its spectral norm, in the order of memory that `taps` gives."""
    source = conv.weight_orig.permute(2, 3, 1, 0)
    return torch.div(source, conv.sigma(), out=source.new_empty(source.shape)).permute(3, 2, 0, 1)


def by_outputs(weight: Tensor) -> Tensor:
    """[C_out,C,3,3] -> [C_out*9,C], free of cost for channels-last weights."""
    return weight.permute(0, 2, 3, 1).reshape(-1, weight.shape[1])


class FastEncoder(Encoder):
    """The last and largest convolution by Winograd's method."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        conv, codes = self.model[14], []
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        for picture, regions in zip(image.split(1), mask.split(1), strict=True):
            pool = Pool(image.device)
            x = self.model[:14](picture).permute(0, 2, 3, 1).contiguous()          # [1,h+2,w+2,8*width]
            height, width = x.shape[1] - 2, x.shape[2] - 2
            features = pool.take(1, height, width, len(conv.bias)).copy_(conv.bias)
            conv3x3(x, taps(conv.weight), features, pool)
            codes.append(region_means(features.tanh_().permute(0, 3, 1, 2), regions))
        return torch.cat(codes)


class FastNorm(SeanNorm):
    """A SEAN block as a table: per neighbourhood one row of scale and shift, batch norm included."""

    mask_rows: Tensor
    style_rows: Tensor
    style_labels: Tensor
    style_codes: Tensor
    noise_var: nn.Parameter

    def looked_up(self) -> list[nn.Conv2d]:
        """The convolutions whose results go into tables."""
        styled = [self.conv_gamma, self.conv_beta] if self.styled else []
        return [self.Spade.mlp_gamma, self.Spade.mlp_beta, *styled]

    def forget(self) -> None:
        """Empties the tables."""
        channels, make = len(self.noise_var), self.noise_var.new_zeros
        self.register_buffer("mask_rows", make(0, 2 * channels), persistent=False)
        if self.styled:
            style = self.conv_gamma.weight.shape[1]
            self.register_buffer("style_rows", make(1, 9, 2 * channels), persistent=False)
            self.register_buffer("style_labels", make(0, dtype=torch.int64), persistent=False)
            self.register_buffer("style_codes", make(0, style), persistent=False)

    def fold(self, gamma: Tensor, beta: Tensor) -> Tensor:
        """[...,C] twice -> [...,2C]: what they add to scale and shift of what enters the batch norm."""
        norm = self.param_free_norm
        assert norm.running_var is not None and norm.running_mean is not None
        scale = gamma * (norm.running_var + norm.eps).rsqrt()
        return torch.cat([scale, beta - norm.running_mean * scale], -1)

    def add_rows(self, patterns: Patterns, chosen: Tensor) -> None:
        """Appends what the `chosen` neighbourhoods have without their styles."""
        hidden, near = self.hidden(patterns, patterns.near[chosen])
        rows = [self.mask_rows]
        for some in near.split(ROWS):
            seen = hidden[some].flatten(1)                                         # [m,9*hidden]
            gamma, beta = (F.linear(seen, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)
                           for conv in (self.Spade.mlp_gamma, self.Spade.mlp_beta))
            if self.styled:
                bias_gamma, bias_beta = self.conv_gamma.bias, self.conv_beta.bias
                assert bias_gamma is not None and bias_beta is not None
                gamma = torch.lerp(gamma, bias_gamma, self.blending_gamma.sigmoid())
                beta = torch.lerp(beta, bias_beta, self.blending_beta.sigmoid())
            rows.append(self.fold(1 + gamma, beta))
        self.mask_rows = torch.cat(rows)

    def hidden(self, patterns: Patterns, near: Tensor) -> tuple[Tensor, Tensor]:
        """The inside of the mask branch: a table [N+1,hidden], and where `near` [m,9] are in it. Its last
        row, zero, stands for outside the picture."""
        shared, device = self.Spade.mlp_shared[0], self.noise_var.device
        assert isinstance(shared, nn.Conv2d) and shared.bias is not None
        kinds, places = near.unique(return_inverse=True)
        kinds = kinds[kinds < len(patterns.labels)]                                # outside comes last
        planes = F.pad(shared.weight.flatten(2).permute(1, 2, 0), (0, 0, 0, 0, 0, 1))     # [R+1,9,hidden]
        table = gather_taps(planes, patterns.labels[kinds].to(device)).add_(shared.bias).relu_()
        return F.pad(table, (0, 0, 0, 1)), places.to(device)

    def learn_styles(self, labels: Tensor, codes: Tensor) -> None:
        """Makes `style_rows` those of `labels` [k] and their codes [k,S], keeping what it has of them."""
        same = (self.style_labels == labels[:, None]) & (self.style_codes == codes[:, None]).all(2)
        rows = self.style_rows.new_zeros(len(labels) + 1, *self.style_rows.shape[1:])
        known, place = same.nonzero(as_tuple=True)
        rows[known] = self.style_rows[place]
        new = (~same.any(1)).nonzero()[:, 0]
        if len(new):
            rows[new] = self.style(labels[new], codes[new])
        self.style_rows, self.style_labels, self.style_codes = rows, labels, codes

    def style(self, labels: Tensor, codes: Tensor) -> Tensor:
        """[k,9,2C]: what pixels of these `labels` [k] with these codes [k,S] add at each tap."""
        styles = torch.stack([F.relu(self.linear(label)(code))
                              for label, code in zip(labels.tolist(), codes, strict=True)])
        gamma, beta = ((styles @ by_outputs(conv.weight).T).view(len(labels), -1, 9).transpose(1, 2)
                       for conv in (self.conv_gamma, self.conv_beta))              # [k,9,C]
        return self.fold(self.blending_gamma.sigmoid() * gamma, self.blending_beta.sigmoid() * beta)

    def lookup(self, patterns: Patterns, rows: Tensor, codes: Tensor | None, noise: Tensor | None) -> Lookup:
        """Ready for one picture. `rows` [n5]: where its neighbourhoods are in `mask_rows`; `codes` [R,S]."""
        device = rows.device
        ids = patterns.ids.to(device)
        if codes is None or not self.styled:
            return Lookup(self.mask_rows, rows[ids], noise, self.noise_var)
        labels, middle = patterns.labels.to(device), patterns.near[:, 4].to(device)
        present = labels.unique()
        present = present[present < self.labels]
        self.learn_styles(present, codes[present])
        place = labels.new_full((self.labels + 2,), len(present))
        place[present] = torch.arange(len(present), device=device)
        table = self.mask_rows.index_select(0, rows)
        table += gather_taps(self.style_rows, place[labels]).index_select(0, middle)
        return Lookup(table, ids, noise, self.noise_var)


def gather_taps(rows: Tensor, labels: Tensor) -> Tensor:
    """rows [R+1,9,C], labels [N,9] -> [N,C]: the sum over the taps; labels from R on take the last row."""
    index = labels.clamp(max=len(rows) - 1) * 9 + torch.arange(9, device=labels.device)
    return F.embedding_bag(index, rows.reshape(-1, rows.shape[2]), mode="sum")


def portions(first: int, last: int, step: int) -> Iterator[slice]:
    return (slice(top, min(top + step, last)) for top in range(first, last, step))


@dataclass(frozen=True, eq=False)
class Lookup:
    """One SEAN block at work on one picture: pixels whose `ids` [H,W] are equal share a row of `table`
    [N,2C]. `noise` [H,W] counts `strength` [C] times."""

    table: Tensor
    ids: Tensor
    noise: Tensor | None
    strength: Tensor

    def strips(self, rows: slice) -> Iterator[slice]:
        """`rows` in portions that stay in the cache."""
        step = at_once(STRIP, self.ids) // (self.ids.shape[1] * len(self.strength))
        return portions(rows.start, rows.stop, max(step, 1))

    def apply(self, x: Tensor, top: int, rows: slice, out: Tensor | None = None) -> Tensor:
        """The `rows` of the picture, [r,W,C]. x [1,h,w,C] begins with row `top`, or is the whole picture at
        half its size."""
        height, width = self.ids.shape
        seen = double(x, rows) if x.shape[2] < width else x[0, rows.start - top:rows.stop - top]
        if self.noise is not None:
            seen = torch.addcmul(seen, self.noise[rows, :, None], self.strength)
        found = self.table.index_select(0, self.ids[rows].flatten())
        scale, shift = found.view(-1, width, found.shape[1]).chunk(2, 2)
        return torch.addcmul(shift, seen, scale, out=out)

    def activate(self, x: Tensor, top: int, rows: slice, padded: Tensor) -> None:
        """The same and leaky ReLU into `padded`, [1,r+2,W+2,C]: with the rows above and below, with zeros
        beyond the picture."""
        for edge in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
            edge.zero_()
        for strip in self.strips(slice(max(rows.start - 1, 0), min(rows.stop + 1, len(self.ids)))):
            inside = slice(strip.start + 1 - rows.start, strip.stop + 1 - rows.start)
            F.leaky_relu_(self.apply(x, top, strip, padded[0, inside, 1:-1]), 0.2)

    def convolve(self, conv: SpectralConv, x: Tensor, top: int, rows: slice, out: Tensor, pool: Pool) -> None:
        """out [1,r,W,C_out] += those `rows` of the 3x3 convolution of what `activate` makes."""
        padded = pool.take(1, out.shape[1] + 2, out.shape[2] + 2, x.shape[3])
        self.activate(x, top, rows, padded)
        step = x.shape[3] if out.shape[1] * out.shape[2] < MANY else at_once(CHANNELS, x)
        for first in range(0, x.shape[3], step):
            part = slice(first, first + step)
            conv3x3(padded[..., part], taps(conv.weight_orig[:, part]), out, pool)
        pool.give(padded)


def double(x: Tensor, rows: slice) -> Tensor:
    """`rows` of x [1,h,w,C] doubled by nearest: [r,2w,C]."""
    above = torch.arange(rows.start, rows.stop, device=x.device) // 2
    return x[0].index_select(0, above).repeat_interleave(2, 1)


class FastBlock(ResidualBlock):
    """A residual block on channels-last pictures. `numbers`: the table rows of known neighbourhoods."""

    norm_class = FastNorm

    def norms(self) -> dict[str, FastNorm]:
        return {name: norm for name, norm in self.named_children() if isinstance(norm, FastNorm)}

    def forget(self) -> None:
        self.numbers: dict[bytes, int] = {}
        self.latest: tuple[Patterns | None, Tensor] = None, torch.empty(0)
        for norm in self.norms().values():
            norm.forget()

    def rows(self, patterns: Patterns) -> Tensor:
        """The table rows [n5] of all neighbourhoods; computes those of unknown ones."""
        if self.latest[0] is not patterns:
            unknown = [i for i, key in enumerate(patterns.keys) if key not in self.numbers]
            if len(self.numbers) + len(unknown) > KEPT:
                self.forget()
                unknown = list(range(len(patterns.keys)))
            if unknown:
                for norm in self.norms().values():
                    norm.add_rows(patterns, torch.tensor(unknown))
                known = len(self.numbers)
                self.numbers |= {patterns.keys[i]: known + n for n, i in enumerate(unknown)}
            self.latest = patterns, torch.tensor([self.numbers[key] for key in patterns.keys])
        return self.latest[1]

    def draw(self, x: Tensor, patterns: Patterns, codes: Tensor | None,
             noise: Mapping[str, Tensor]) -> Tensor:
        """x [1,h,w,C], as large as `patterns` or half that -> [1,H,W,C_out]."""
        (height, width), pool = patterns.ids.shape, Pool(x.device)
        rows = self.rows(patterns).to(x.device)

        def lookup(name: str) -> Lookup:
            return self.norms()[name].lookup(patterns, rows, codes, noise.get(name))

        bias_0, bias_1 = self.conv_0.bias, self.conv_1.bias
        assert bias_0 is not None and bias_1 is not None
        out = bias_1.repeat(1, height, width, 1)
        self.add_shortcut(x, lookup("ace_s") if self.learned else None, out[0])
        first, second = lookup("ace_0"), lookup("ace_1")
        step = at_once(BAND, x) // width // TILE * TILE
        for band in portions(0, height, max(step, TILE)):
            wide = slice(max(band.start - TILE, 0), min(band.stop + TILE, height))
            middle = pool.take(1, wide.stop - wide.start, width, len(bias_0)).copy_(bias_0)
            first.convolve(self.conv_0, x, 0, wide, middle, pool)
            second.convolve(self.conv_1, middle, wide.start, band, out[:, band], pool)
            pool.give(middle)
        return out

    def add_shortcut(self, x: Tensor, lookup: Lookup | None, out: Tensor) -> None:
        """out [H,W,C_out] += the shortcut of x [1,h,w,C]."""
        everything = slice(0, len(out))
        if lookup is None:
            out += x[0] if x[0].shape == out.shape else double(x, everything)
            return
        weight = self.conv_s.weight_orig[:, :, 0, 0].T
        for strip in lookup.strips(everything):
            normed = lookup.apply(x, 0, strip).view(-1, len(weight))
            out[strip].view(-1, out.shape[2]).addmm_(normed, weight)


class FastGenerator(Generator):
    """Evaluation only. Made from a filled `Generator`, whose tensors it shares or lays out anew."""

    block_class = FastBlock
    encoder_class = FastEncoder

    @torch.no_grad()
    def __init__(self, generator: Generator) -> None:
        with torch.device("meta"):
            super().__init__(generator.config)
        self.load_state_dict(generator.state_dict(), assign=True)
        self.eval().requires_grad_(False)
        for module in self.modules():
            if isinstance(module, SpectralConv):
                module.weight_orig.data = folded(module)
            elif isinstance(module, FastNorm):
                for conv in module.looked_up():
                    conv.weight.data = conv.weight.to(memory_format=torch.channels_last)
        self.forget()

    def forget(self) -> None:
        """Empties the tables; the next picture costs as much as the first."""
        self.maps: dict[bytes, dict[Size, Patterns]] = {}
        for module in self.modules():
            if isinstance(module, FastBlock):
                module.forget()

    @torch.no_grad()
    def forward(self, regions: Tensor, codes: Tensor | None = None, *,
                noise: Mapping[str, Tensor] | None = None,
                features: dict[str, Tensor] | None = None) -> Tensor:
        """As `Generator.forward`; one picture after the other, so that none depends on its company."""
        check_inputs(self.config, regions, codes)
        labels = label_map(regions, self.config.labels)
        if labels is None:
            return super().forward(regions, codes, noise=noise, features=features)
        known, self.maps = self.maps, {}
        matrices, pictures = stage_codes(self.config, codes), []
        notes: list[dict[str, Tensor]] = []
        for i, each in enumerate(labels.split(1)):
            own = [None if matrix is None else matrix[i] for matrix in matrices]
            planes = {name: plane[i % len(plane), 0] for name, plane in (noise or {}).items()}
            notes.append({})
            pictures.append(self.draw(each, self.patterns(each[0], known), own, planes,
                                      None if features is None else notes[-1]))
        if features is not None:
            features |= {name: torch.cat([note[name] for note in notes]) for name in notes[0]}
        return torch.cat(pictures)

    def patterns(self, labels: Tensor, known: Mapping[bytes, dict[Size, Patterns]]) -> dict[Size, Patterns]:
        """The patterns of a label map [H,W] at every size; only the maps of the latest call are `known`."""
        labels = labels.to("cpu", torch.int16)
        key = bytes(str(labels.shape), "ascii") + labels.numpy().tobytes()
        self.maps[key] = known.get(key) or {
            stage.size: find_patterns(nearest(labels, stage.size), self.config.labels)
            for stage in self.config.stages}
        return self.maps[key]

    def draw(self, labels: Tensor, patterns: Mapping[Size, Patterns], codes: list[Tensor | None],
             noise: Mapping[str, Tensor], note: dict[str, Tensor] | None) -> Tensor:
        """One picture [1,3,H,W]. `codes`: per stage [R,S]; `noise`: planes [H,W]; `note`: filled like
        `features` unless None."""
        config = self.config

        def remember(name: str, x: Tensor) -> Tensor:
            if note is not None:
                note[name] = x.permute(0, 3, 1, 2).clone()
            return x

        start = self.fc(to_mask(nearest(labels, config.start), config.labels))
        x = remember("fc", start.permute(0, 2, 3, 1).contiguous())
        for stage, matrix in zip(config.stages, codes, strict=True):
            block = self.block(stage)
            assert isinstance(block, FastBlock)
            x = remember(stage.name, block.draw(x, patterns[stage.size], matrix, stage_noise(stage, noise)))
        x = F.leaky_relu_(x, 0.2).permute(0, 3, 1, 2)
        return self.conv_img(x).tanh_().contiguous()
