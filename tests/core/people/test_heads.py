import pytest
import torch
from anyone.core.people import CropBox, cut_square, divide_masks, head_square, lay_labels
from anyone.core.pose import JOINTS, Pose


def pose_of(**points):
    keypoints, scores = torch.zeros(18, 2), torch.zeros(18)
    for name, place in points.items():
        keypoints[JOINTS.index(name)], scores[JOINTS.index(name)] = torch.tensor(place), 1.0
    return Pose(keypoints, scores, 100, 100)


def test_the_largest_of_three_measures_counts():
    eyes = pose_of(nose=(50.0, 44.0), right_eye=(45.0, 38.0), left_eye=(55.0, 38.0))
    assert head_square(eyes) == CropBox(29, 23, 71, 65)   # 4.2 x 10 around (50, 40), 4.2 lower
    ears = pose_of(nose=(50.0, 44.0), right_eye=(45.0, 38.0), left_eye=(55.0, 38.0), right_ear=(40.0, 39.0),
                   left_ear=(60.0, 39.0))
    assert head_square(ears).width == 52
    assert head_square(pose_of(nose=(50.0, 20.0), neck=(50.0, 40.0))).width == 44


@pytest.mark.parametrize("points", [
    {}, {"nose": (1.0, 2.0)}, {"right_ear": (1.0, 1.0), "left_ear": (9.0, 1.0)}])
def test_no_face_no_square(points):
    assert head_square(pose_of(**points)) is None


def test_the_picture_is_mirrored_beyond_its_border():
    picture = torch.arange(12.0).view(1, 3, 4).expand(3, 3, 4)
    crop = cut_square(picture, CropBox(-2, -1, 3, 4))
    assert crop[0, 1].tolist() == [1, 0, 0, 1, 2] and crop[0, :, 2].tolist() == [0, 0, 4, 8, 8]


def test_labels_are_laid_where_there_are_some():
    canvas = torch.full((4, 4), 9, dtype=torch.uint8)
    labels = torch.tensor([[1, 2], [0, 3]], dtype=torch.uint8)
    lay_labels(canvas, labels, CropBox(3, -1, 5, 1))
    lay_labels(canvas, labels, CropBox(0, 2, 2, 4))
    assert canvas.tolist() == [[9, 9, 9, 9], [9, 9, 9, 9], [1, 2, 9, 9], [9, 3, 9, 9]]


def test_a_pixel_goes_to_the_surest():
    logits = torch.tensor([[[4.0, 4.0, -4.0]], [[-4.0, 1.0, 1.0]], [[-9.0, -9.0, -9.0]]])
    masks = divide_masks(logits, torch.tensor([0.6, 0.9, 1.0]), 1, 3)
    assert masks[:, 0].tolist() == [[True, False, False], [False, True, True], [False, False, False]]
    assert divide_masks(torch.zeros(0, 2, 2), torch.zeros(0), 5, 4).shape == (0, 5, 4)


def test_masks_are_enlarged_smoothly():
    logits = torch.tensor([[[3.0, -1.0]]])
    mask, = divide_masks(logits, torch.ones(1), 2, 8)
    assert mask.tolist() == [[True, True, True, True, True, False, False, False]] * 2
