import pytest
from anyone.core.training.options import Options, parse_budget, parse_size


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400),
                                               ("1h30m", 5400)])
def test_budget(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "ten", "3d", "-5m"])
def test_no_budget(text):
    with pytest.raises(ValueError, match="A budget looks like"):
        parse_budget(text)


def test_size():
    assert parse_size("288x160") == (288, 160)
    for text in ("288", "0x5", "axb"):
        with pytest.raises(ValueError, match="A size looks like"):
            parse_size(text)


def test_one_budget_is_needed(tmp_path):
    with pytest.raises(ValueError, match="either as --steps or as --budget"):
        Options(tmp_path)
    with pytest.raises(ValueError, match="either"):
        Options(tmp_path, steps=3, seconds=4)
    with pytest.raises(ValueError, match="above zero"):
        Options(tmp_path, steps=3, batch=0)
    assert Options(tmp_path, steps=3, batch=8).ema_half_life == 2500
