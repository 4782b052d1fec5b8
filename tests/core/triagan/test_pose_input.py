"""Lines, keypoint pixels and plane order against literal readings of the published rules."""
from __future__ import annotations

import torch
from anyone.core.triagan.pose_input import (
    LINES,
    joint_map,
    keypoint_pixels,
    keypoint_planes,
    line_pixels,
    network_input,
)


def literal_line(x0, y0, x1, y1):
    """The incremental integer rule, word for word."""
    dx, dy = abs(x1 - x0), abs(y1 - y0)
    sx, sy = (1 if x1 >= x0 else -1), (1 if y1 >= y0 else -1)
    x, y, plotted = x0, y0, []
    if dx > dy:
        e = 2 * dy - dx
        for _ in range(dx):
            plotted.append((x, y))
            if e >= 0:
                y += sy
                e -= 2 * dx
            e += 2 * dy
            x += sx
    else:
        e = 2 * dx - dy
        for _ in range(dy):
            plotted.append((x, y))
            if e >= 0:
                x += sx
                e -= 2 * dy
            e += 2 * dx
            y += sy
    return {*plotted, (x1, y1)}


def test_lines_equal_the_literal_rule_on_and_off_the_picture():
    height, width = 24, 16
    rng = torch.Generator().manual_seed(0)
    near = torch.randint(0, 16, (2500, 2, 2), generator=rng)
    far = torch.randint(-60, 90, (1500, 2, 2), generator=rng)
    lines = torch.cat([near, far])
    pixels, inside = line_pixels(lines[:, 0], lines[:, 1], height, width)
    for (start, end), found, seen in zip(lines.tolist(), pixels, inside, strict=True):
        expected = {y * width + x for x, y in literal_line(*start, *end)
                    if 0 <= x < width and 0 <= y < height}
        assert set(found[seen].tolist()) == expected, (start, end)


def test_joint_map_equals_drawing_line_by_line():
    height, width = 48, 30
    rng = torch.Generator().manual_seed(1)
    keypoints = torch.rand(40, 17, 3, generator=rng) * 1.4 - 0.2
    keypoints[..., 2] = (torch.rand(40, 17, generator=rng) > 0.3).float()
    for sample, drawn in zip(keypoints, joint_map(keypoints, height, width)[:, 0], strict=True):
        assert torch.equal(drawn, literal_joint_map(sample, height, width))


def literal_joint_map(keypoints, height, width):
    xy, visible = keypoints[:, :2], (keypoints[:, 2] > 0).tolist()
    for a, b in ((5, 6), (11, 12), (1, 2)):
        xy = torch.cat([xy, (xy[a] + (xy[b] - xy[a]) / 2)[None]])
        visible.append(visible[a] and visible[b])
    points = (xy * torch.tensor([width, height])).round().int().tolist()
    canvas = torch.zeros(height, width, dtype=torch.uint8)
    wanted = [line for line in LINES[:-1] if visible[line[0]] and visible[line[1]]]
    if not visible[0] and visible[17]:
        wanted.append((19, 17, 1))
    for start, end, label in wanted:
        for x, y in literal_line(*points[start], *points[end]):
            if 0 <= x < width and 0 <= y < height:
                canvas[y, x] = label
    return canvas


def test_a_missing_nose_is_replaced_by_invisible_eyes():
    keypoints = torch.zeros(1, 17, 3)
    keypoints[0, [5, 6]] = torch.tensor([[0.2, 0.6, 1.0], [0.8, 0.6, 1.0]])
    keypoints[0, [1, 2], :2] = torch.tensor([[0.4, 0.2], [0.6, 0.2]])
    drawn = joint_map(keypoints, 20, 20)[0, 0]
    assert (drawn[4:12, 10] == 1).all() and drawn[:4].sum() == 0
    keypoints[0, 5, 2] = 0                                 # no neck, no line
    assert joint_map(keypoints, 20, 20).sum() == 0


def test_keypoint_planes_clamp_what_lines_clip():
    keypoints = torch.zeros(1, 17, 3)
    keypoints[0, 9] = torch.tensor([1.0, 0.5, 1.0])        # left wrist on the right border
    keypoints[0, 7] = torch.tensor([1.2, 0.5, 1.0])
    index, visible = keypoint_pixels(keypoints, 10, 8)
    assert index[0, [7, 9]].tolist() == [5 * 8 + 7] * 2 and visible.sum() == 2
    assert joint_map(keypoints, 10, 8).sum() == 0


def test_keypoints_round_half_to_even_and_visibility_too():
    keypoints = torch.tensor([[[2.5 / 8, 3.5 / 8, 1.0], [1.5 / 8, 0.5 / 8, 1.0], [0.5, 0.5, 0.5]]])
    planes = keypoint_planes(keypoints, 8, 8)
    assert planes[0, 0, 4, 2] == 1 and planes[0, 1, 0, 2] == 1
    assert planes.sum() == 2


def test_plane_order_and_polarity():
    mask, segmentation = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    mask[..., :2], segmentation[..., :1] = 0, 0
    picture = torch.full((1, 3, 4, 4), 0.5)
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0]).repeat(2).view(1, 1, 4, 4).to(torch.uint8)
    keypoints = torch.zeros(1, 17, 3)
    keypoints[0, 16] = torch.tensor([0.5, 0.25, 1.0])
    planes = network_input(picture * mask, mask, segmentation, keypoints, labels)
    assert planes.shape == (1, 30, 4, 4)
    assert torch.equal(planes[:, :3], picture * mask)
    assert torch.equal(planes[:, 3:7], torch.cat([mask, 1 - mask, segmentation, 1 - segmentation], 1))
    assert planes[0, 7:24].sum() == 1 and planes[0, 23, 1, 2] == 1
    for label in range(1, 7):
        assert torch.equal(planes[:, 23 + label], (labels[:, 0] == label).float())
