"""Losses over images seen, as small panels; drawn with PIL so that training needs no plotting library."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files import atomic_write

PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 420, 170, 34
POSITION_KEYS = ("step", "images", "seconds", "lr")
RAW, SMOOTH, TEXT, GRID = (190, 205, 225), (30, 90, 170), (60, 60, 60), (228, 228, 228)


def save_plot(path: Path, lines: Sequence[dict[str, float]]) -> None:
    """One panel per loss in the log: raw in pale, smoothed in blue, on its own scale (1st..99th percentile),
    logarithmic where a positive loss falls to less than a tenth."""
    from PIL import Image, ImageDraw

    names = sorted({key for line in lines for key in line} - set(POSITION_KEYS))
    if not names:
        return
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    canvas = Image.new("RGB", (columns * PANEL_WIDTH, rows * PANEL_HEIGHT), "white")
    draw = ImageDraw.Draw(canvas)
    for i, name in enumerate(names):
        points = np.array([(line["images"], line[name]) for line in lines if name in line], dtype=np.float64)
        _panel(draw, (i % columns) * PANEL_WIDTH, (i // columns) * PANEL_HEIGHT, name, points)
    with atomic_write(path) as temporary:
        canvas.save(temporary)


def _panel(draw, left: int, top: int, name: str, points: np.ndarray) -> None:
    x0, y0 = left + MARGIN + 12, top + 22
    x1, y1 = left + PANEL_WIDTH - 12, top + PANEL_HEIGHT - 22
    low, high = np.percentile(points[:, 1], (1, 99))
    high = high if high > low else low + 1e-9 + abs(low) * 1e-3
    scale, inverse = (np.log, np.exp) if low > 0 and high > 10 * low else (np.asarray, np.asarray)
    bottom, top_value = scale(low), scale(high)
    last = max(points[-1, 0], 1)
    for part in (0.0, 0.5, 1.0):
        y = y1 - part * (y1 - y0)
        draw.line([(x0, y), (x1, y)], fill=GRID)
        draw.text((left + 4, y - 6), f"{inverse(bottom + part * (top_value - bottom)):.3g}", fill=TEXT)
    draw.text((x0, top + 5), f"{name}  {points[-1, 1]:.4g}", fill=TEXT)
    draw.text((x1 - 90, y1 + 6), f"{int(last):,} images", fill=TEXT)
    for values, colour in ((points[:, 1], RAW), (smooth(points[:, 1]), SMOOTH)):
        x = x0 + points[:, 0] / last * (x1 - x0)
        y = y1 - (scale(values.clip(low, high)) - bottom) / (top_value - bottom) * (y1 - y0)
        draw.line(np.stack([x, y], 1).ravel().tolist(), fill=colour, width=1 if colour == RAW else 2)


def smooth(values: np.ndarray) -> np.ndarray:
    """A running mean over a twentieth of the curve, shorter at the ends."""
    half = len(values) // 40
    total = np.concatenate([[0.0], values.cumsum()])
    start = np.maximum(np.arange(len(values)) - half, 0)
    end = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (total[end] - total[start]) / (end - start)
