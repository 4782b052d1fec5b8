import json

import numpy as np
import torch
from anyone.core.sheet import save_sheet, tile
from anyone.core.training.ema import Ema
from anyone.core.training.log import Log, read_log
from anyone.core.training.plot import save_plot, smooth
from PIL import Image


def test_ema_has_the_half_life_asked_for():
    module = torch.nn.BatchNorm1d(2)
    ema = Ema({"net": module}, half_life=100)
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.running_mean.fill_(8.0)
        module.num_batches_tracked.fill_(5)
    ema.update({"net": module}, images=10**6, batch=100)
    average = ema.averaged["net"]
    assert torch.allclose(average.weight, torch.tensor(2.0))
    assert torch.allclose(average.running_mean, torch.tensor(4.0))
    assert int(average.num_batches_tracked) == 5 and not average.training and not average.weight.requires_grad
    ema.update({"net": module}, images=200, batch=10)     # early: half-life is 5 % of 200 images
    assert torch.allclose(average.weight, torch.tensor(2.5))


def test_log_forgets_what_the_resumed_run_repeats_and_half_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    log = Log(path, 0)
    for step in (10, 20, 30):
        log.write({"step": step, "loss": step / 10})
    with open(path, "a") as file:
        file.write('{"step": 4')
    again = Log(path, 20)
    again.write({"step": 25, "loss": 0.5})
    assert [line["step"] for line in again.lines] == [10, 20, 25] == [line["step"] for line in read_log(path)]
    assert json.loads(path.read_text().splitlines()[-1]) == {"step": 25, "loss": 0.5}


def test_plot_has_a_panel_per_loss_and_draws_the_curve(tmp_path):
    lines = [{"step": i, "images": i * 8, "a": 1.0 / i, "b": float(i % 2)} for i in range(1, 60)]
    save_plot(tmp_path / "loss.png", lines)
    picture = np.asarray(Image.open(tmp_path / "loss.png"))
    assert picture.shape == (170, 840, 3)
    blue = (picture == (30, 90, 170)).all(-1)
    assert blue[:, :420].sum() > 200 and blue[:, 420:].sum() > 200
    rows = blue[:, :420].nonzero()[0][blue[:, :420].nonzero()[1].argsort()]
    assert rows[0] < rows[-1]                             # the falling loss falls
    save_plot(tmp_path / "none.png", [])
    assert not (tmp_path / "none.png").exists()


def test_smoothing_keeps_the_mean_level_and_the_ends():
    values = np.r_[np.zeros(100), np.ones(100)]
    assert smooth(values)[0] == 0 and smooth(values)[-1] == 1 and 0 < smooth(values)[100] < 1


def test_sheet_puts_cells_in_rows_and_columns(tmp_path):
    cells = torch.zeros(2, 3, 3, 4, 5)
    cells[1, 2, 0] = 1
    picture = tile(cells)
    assert picture.shape == (3, 2 * 4 + 2, 3 * 5 + 2 * 2)
    assert picture[:, 6:, 14:].mean((1, 2)).tolist() == [1, 0, 0] and picture[:, :4, :5].sum() == 0
    save_sheet(tmp_path / "sheet.png", cells)
    assert Image.open(tmp_path / "sheet.png").getpixel((18, 9)) == (255, 0, 0)
