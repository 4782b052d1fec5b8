import pytest
import torch
from anyone.core.detr.infer import box_overlap, choose, find_people, to_pixels
from anyone.core.runtime import Runtime


@pytest.fixture
def pictures():
    return list(torch.rand(2, 3, 90, 70, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("name", ["rt_detr", "rf_detr", "rf_detr_seg"])
def test_every_finder_answers(model, pictures, name):
    found = find_people(model(name), pictures, threshold=0.0, max_people=5, runtime=Runtime("cpu"))
    assert len(found) == 2
    for one in found:
        assert 1 <= len(one.boxes) <= 5 and one.boxes.shape == (len(one.scores), 4)
        assert (one.boxes >= 0).all() and (one.boxes <= torch.tensor([70, 90, 70, 90])).all()
        assert (one.scores.diff() <= 0).all()
        if name == "rf_detr_seg":
            assert one.masks.shape == (len(one.boxes), 16, 16)
        else:
            assert one.masks is None


def test_a_batch_is_its_parts_of_any_size(model, pictures):
    net, runtime = model("rf_detr_seg"), Runtime("cpu")
    several = [*pictures, torch.rand(3, 1, 1), torch.rand(3, 5, 900)]
    together = find_people(net, several, threshold=0.0, runtime=runtime)
    for picture, one in zip(several, together, strict=True):
        alone, = find_people(net, [picture], threshold=0.0, runtime=runtime)
        torch.testing.assert_close(one.boxes, alone.boxes, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(one.masks, alone.masks, atol=1e-3, rtol=1e-3)


def test_nobody(model, pictures):
    one, _ = find_people(model("rf_detr_seg"), pictures, threshold=1.1, runtime=Runtime("cpu"))
    assert one.boxes.shape == (0, 4) and one.masks.shape == (0, 16, 16)


@pytest.mark.parametrize(("name", "kind", "side"), [
    ("rt_detr", "RTDetrImageProcessor", 640), ("rf_detr", "RfDetrImageProcessor", 64)])
def test_the_processors_answer(transformers, model, pictures, name, kind, side, monkeypatch):
    """Our input and reading against those of transformers, through the same network."""
    make = getattr(transformers, f"{kind}Pil", None)
    if make is None:
        pytest.importorskip("torchvision", reason=f"transformers' {kind} needs torchvision")
        make = getattr(transformers, kind)
    net, processor = model(name), make(size={"height": side, "width": side})
    picture = (pictures[0] * 255).round().byte()
    inputs = processor(picture.movedim(0, -1).numpy(), return_tensors="pt")
    with torch.no_grad():
        out = net.module(pixel_values=inputs["pixel_values"])
    theirs = processor.post_process_object_detection(out, threshold=0.0, target_sizes=[(90, 70)])[0]
    label = int(theirs["labels"][0])                      # the surest class plays the person
    monkeypatch.setattr(net.module.config, "id2label", {label: "person"})
    ours, = find_people(net, [picture / 255], threshold=0.0, max_people=99, runtime=Runtime("cpu"))
    limits = torch.tensor([70.0, 90.0, 70.0, 90.0])
    chosen = theirs["labels"] == label
    for score, box in zip(theirs["scores"][chosen], theirs["boxes"][chosen], strict=True):
        overlaps = box_overlap(box.clamp(min=0).minimum(limits)[None], ours.boxes)[0]
        assert overlaps.max() > 0.88 and (ours.scores[overlaps > 0.88] - score).min() > -5e-3


def test_boxes_in_pixels():
    boxes = to_pixels(torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.0, 1.0, 0.5, 0.5]]), 100, 200)
    torch.testing.assert_close(boxes, torch.tensor([[80.0, 30.0, 120.0, 70.0], [0.0, 75.0, 50.0, 100.0]]))


def test_of_equal_boxes_the_surest_stays():
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10.5], [0, 0, 10, 12], [5, 5, 5, 9]]).float()
    scores = torch.tensor([0.5, 0.9, 0.6, 0.99])
    assert choose(scores, boxes, 0.3).tolist() == [1, 2]  # the first is the second, the last has no area
    assert choose(scores, boxes, 0.7).tolist() == [1]
    torch.testing.assert_close(box_overlap(boxes[:1], boxes[1:3]), torch.tensor([[10 / 10.5, 10 / 12]]))
