import pytest
import torch
from anyone.core.regions import (
    ATR_LABELS,
    FACE_PALETTE,
    FACE_REGIONS,
    PERSON_REGIONS,
    atr_ids,
    atr_to_person,
    face_ids,
    face_to_person,
)

EARLY = ["background", "skin", "nose", "r_eye", "l_eye", "r_brow", "l_brow", "r_ear", "l_ear", "mouth",
         "u_lip", "l_lip", "neck", "hair", "neck_l", "cloth", "eye_g", "hat", "ear_r"]


def test_the_19_regions():
    assert len(FACE_REGIONS) == len(FACE_PALETTE) == 19
    assert [FACE_REGIONS[i] for i in (4, 5, 13, 15, 18)] == ["l_eye", "r_eye", "hair", "ear_r", "cloth"]
    assert FACE_PALETTE[FACE_REGIONS.index("neck")] == (255, 153, 51)


def test_an_early_conversion_has_another_order():
    ids = face_ids([f"{name}.png" for name in EARLY])
    assert ids.tolist() == [0, 1, 2, 5, 4, 7, 6, 9, 8, 10, 11, 12, 17, 13, 16, 18, 3, 14, 15]
    assert face_ids(FACE_REGIONS).tolist() == list(range(19))


def test_atr_by_name_in_any_order():
    names = ["Background", "Hat", "Hair", "Sunglasses", "Upper-clothes", "Skirt", "Pants", "Dress", "Belt",
             "Left-shoe", "Right-shoe", "Face", "Left-leg", "Right-leg", "Left-arm", "Right-arm", "Bag",
             "Scarf"]
    assert atr_ids(names).tolist() == list(range(18))
    assert atr_ids(names[::-1]).tolist() == list(range(18))[::-1]


@pytest.mark.parametrize(("lookup", "words"), [(face_ids, "none of the 19"), (atr_ids, "none of the 18")])
def test_unknown_names(lookup, words):
    with pytest.raises(ValueError, match=f"'tail', which is {words}"):
        lookup(["background", "tail"])


def test_atr_to_person():
    names = ("pants", "left-arm", "right-leg", "bag", "face", "hat")
    labels = torch.tensor([ATR_LABELS.index(name) for name in names])
    assert [PERSON_REGIONS[i] for i in atr_to_person(labels)] == \
        ["trousers", "arms", "legs", "accessory", "head", "headwear"]


def test_faces_over_people():
    faces = torch.tensor([[0, 1, 3, 13, 14, 16, 17, 18]], dtype=torch.uint8)
    person = torch.full((1, 8), PERSON_REGIONS.index("sleeves"), dtype=torch.uint8)
    assert [PERSON_REGIONS[i] for i in face_to_person(faces, person)[0]] == \
        ["sleeves", "head", "accessory", "hair", "headwear", "accessory", "head", "top"]
