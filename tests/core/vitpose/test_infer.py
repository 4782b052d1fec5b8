import pytest
import torch
from anyone.core.runtime import Interrupted, Runtime
from anyone.core.vitpose import infer
from anyone.core.vitpose.infer import estimate_poses, heat_maps

BOXES = torch.tensor([[10.0, 5.0, 60.0, 95.0], [0.0, 0.0, 30.0, 20.0], [-15.0, 40.0, 90.0, 130.0]])


@pytest.fixture
def pictures():
    return list(torch.rand(2, 3, 100, 80, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("name", ["vitpose", "vitpose_plus"])
def test_a_batch_is_its_parts(model, pictures, name, monkeypatch):
    net, runtime = model(name), Runtime("cpu")
    monkeypatch.setattr(infer, "BATCH", 2)
    together = estimate_poses(net, pictures, [BOXES, BOXES[:1]], runtime=runtime)
    assert [joints.shape for joints in together] == [(3, 17, 3), (1, 17, 3)]
    for i, box in enumerate(BOXES):
        alone, = estimate_poses(net, pictures[:1], [box[None]], runtime=runtime)
        torch.testing.assert_close(together[0][i], alone[0], atol=1e-3, rtol=1e-4)


def test_no_boxes(model, pictures):
    found = estimate_poses(model("vitpose"), pictures, [BOXES[:0], BOXES[:2]], runtime=Runtime("cpu"))
    assert [joints.shape for joints in found] == [(0, 17, 3), (2, 17, 3)]
    _, nobody = estimate_poses(model("vitpose"), pictures, [BOXES[:0]] * 2, runtime=Runtime("cpu"))
    assert nobody.shape == (0, 17, 3)


def test_mirrored_pictures_have_mirrored_answers(model):
    net = model("vitpose").module
    crops = torch.rand(2, 3, 256, 192, generator=torch.Generator().manual_seed(1))
    swapped = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    with torch.no_grad():
        heat = heat_maps(net, crops, flip=True)
        mirrored = heat_maps(net, crops.flip(-1), flip=True)
    torch.testing.assert_close(heat, mirrored.flip(-1)[:, swapped])
    assert not torch.allclose(heat, heat_maps(net, crops))


def test_the_processors_answer(transformers, model, pictures):
    """Our crop and decoding against those of transformers, through the same network."""
    pytest.importorskip("scipy", reason="transformers' ViTPose processor needs scipy")
    make = getattr(transformers, "VitPoseImageProcessorPil", transformers.VitPoseImageProcessor)
    net, processor = model("vitpose"), make()
    picture = (pictures[0] * 255).round().byte()
    xywh = torch.cat([BOXES[:, :2], BOXES[:, 2:] - BOXES[:, :2]], 1)
    inputs = processor(picture.movedim(0, -1).numpy(), boxes=[xywh.tolist()], return_tensors="pt")
    with torch.no_grad():
        out = net.module(**inputs)
    theirs = processor.post_process_pose_estimation(out, boxes=[xywh.tolist()])[0]
    ours, = estimate_poses(net, [picture / 255], [BOXES], runtime=Runtime("cpu"))
    sure = ours[..., 2] > 0.01                            # below, the processor's positions are garbage
    assert sure.float().mean() > 0.3
    keypoints = torch.stack([one["keypoints"] for one in theirs])
    torch.testing.assert_close((ours[..., :2] - 0.5)[sure], keypoints[sure].float(), atol=0.05, rtol=0)


def test_interrupt(model, pictures, impatient):
    with pytest.raises(Interrupted):
        estimate_poses(model("vitpose"), pictures[:1], [BOXES], runtime=impatient(1))
