import torch
from anyone.core.regions import ATR_LABELS, FACE_REGIONS
from anyone.core.segformer.infer import region_scores
from anyone.core.segformer.weights import label_ids, parses_clothes


def test_faces_and_clothes_are_told_apart_by_name(model):
    faces, clothes = model("faces").module, model("clothes").module
    assert parses_clothes(clothes) and not parses_clothes(faces)
    assert label_ids(clothes).tolist() == list(range(18))
    assert label_ids(faces).tolist() == list(range(19))[::-1]


def test_scores_come_in_our_order(model):
    net = model("faces").module
    crops = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = region_scores(net, crops, (64, 64))
        net.config.id2label = dict(enumerate(FACE_REGIONS))
        other = region_scores(net, crops, (64, 64))
        net.config.id2label = dict(enumerate(f"{name}.png" for name in reversed(FACE_REGIONS)))
    assert scores.shape == (2, 19, 40, 50) and len(ATR_LABELS) == 18
    torch.testing.assert_close(scores, other.flip(1))
