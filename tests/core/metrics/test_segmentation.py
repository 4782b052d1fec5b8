"""mIoU and pixel accuracy, against scikit-image's contingency table and by hand."""
from __future__ import annotations

import pytest
import torch
from anyone.core.metrics.segmentation import Confusion


def test_scores_by_hand():
    confusion = Confusion(4)
    truth = torch.tensor([[0, 0, 1, 1], [2, 2, 2, 2]])
    found = torch.tensor([[0, 1, 1, 1], [2, 2, 0, 0]])
    confusion.add(found, truth)
    assert confusion.iou()[:3].tolist() == pytest.approx([1 / 4, 2 / 3, 2 / 4])
    assert confusion.iou()[3].isnan()
    assert confusion.result() == {"miou": pytest.approx((1 / 4 + 2 / 3 + 1 / 2) / 3), "pixel_accuracy": 5 / 8}


def test_pictures_are_summed_and_not_averaged():
    """A label with one right pixel in a small picture counts for little beside many wrong ones."""
    confusion = Confusion(2)
    confusion.add(torch.ones(1, 1, dtype=torch.uint8), torch.ones(1, 1, dtype=torch.uint8))
    confusion.add(torch.zeros(1, 9, 1, dtype=torch.int32), torch.ones(1, 9, 1, dtype=torch.int32))
    assert confusion.table.tolist() == [[0, 0], [9, 1]]
    assert confusion.result() == {"miou": pytest.approx(0.05), "pixel_accuracy": pytest.approx(0.1)}


def test_a_label_that_is_only_found_counts_as_wrong():
    confusion = Confusion(2)
    confusion.add(torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert confusion.result() == {"miou": 0.25, "pixel_accuracy": 0.5}


def test_the_table_is_scikit_images():
    skimage = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    random = torch.Generator().manual_seed(0)
    truth, found = (torch.randint(0, 7, (3, 20, 30), generator=random) for _ in range(2))
    confusion = Confusion(7)
    for pair in zip(found, truth, strict=True):
        confusion.add(*pair)
    expected = skimage.contingency_table(truth.numpy(), found.numpy()).toarray()
    assert confusion.table.tolist() == expected.tolist()


def test_unknown_pixels_do_not_count():
    confusion = Confusion(2, unknown=255)
    confusion.add(torch.tensor([0, 1, 1]), torch.tensor([0, 255, 1]))
    assert confusion.result() == {"miou": 1.0, "pixel_accuracy": 1.0}


@pytest.mark.parametrize("found, truth, words", [
    ([0, 2], [0, 1], r"the found labels should be 0\.\.1; got 2"),
    ([0, 1], [0, 7], r"the true labels should be 0\.\.1; got 7"),
    ([0, -1], [0, 1], "got -1"), ([0, 255], [0, 1], "got 255"),
    ([0], [0, 1], r"got \[1\] and \[2\]")])
def test_labels_that_do_not_fit_are_refused(found, truth, words):
    with pytest.raises(ValueError, match=words):
        Confusion(2, unknown=255).add(torch.tensor(found), torch.tensor(truth))


def test_nothing_has_no_score():
    confusion = Confusion(2, unknown=255)
    confusion.add(torch.tensor([0]), torch.tensor([255]))
    with pytest.raises(ValueError, match="no pixel with a known label"):
        confusion.result()
