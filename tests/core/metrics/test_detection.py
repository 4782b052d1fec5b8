import pytest
import torch
from anyone.core.metrics.detection import Scores, mask_iou


def test_mask_iou():
    truth = torch.tensor([[1, 1], [0, 0]]).bool()
    masks = torch.tensor([[[1, 1], [0, 0]], [[1, 0], [1, 0]], [[0, 0], [1, 1]]]).bool()
    assert mask_iou(masks, truth).tolist() == pytest.approx([1, 1 / 3, 0])


def test_scores_by_hand():
    scores = Scores(radius=5)
    truth = torch.zeros(18, 2)
    visibility = torch.zeros(18)
    visibility[:4], visibility[4:6] = 2, 1
    found = torch.zeros(2, 18, 2)
    found[0] += 3.0                                       # 4.2 pixels off: right
    found[0, 1], found[0, 4] = 6.0, 6.0                   # 8.5 off: wrong
    confidence = torch.ones(2, 18)
    confidence[0, 2] = 0                                  # missing: wrong
    mask = torch.zeros(4, 4).bool()
    mask[:2] = True
    masks = torch.stack([mask, ~mask])
    regions = mask.long() * 3
    scores.add(found, confidence, masks, torch.where(mask, 3, 0), truth, visibility, mask, regions)
    result = scores.result()
    assert result == {"pck": 0.5, "hidden_pck": 0.5, "mask_iou": 1.0, "region_miou": 1.0}
    scores.add(found[:0], confidence[:0], masks[:0], regions * 0, truth, visibility, mask, regions)
    result = scores.result()
    assert result["pck"] == 0.25 and result["mask_iou"] == 0.5
    # Background: 16 right of 24 claimed; region 3: 8 of 16.
    assert result["region_miou"] == pytest.approx((16 / 24 + 8 / 16) / 2)
