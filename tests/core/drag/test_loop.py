"""The loop on a generator that is known by heart, in both forms."""
from __future__ import annotations

import math

import pytest
import torch
from anyone.core.drag import DragSettings, Session, drag
from anyone.core.drag import loop as loop_module
from anyone.core.drag.fast import CroppedMap
from anyone.core.drag.loop import Adam
from anyone.core.drag.plain import WholeMap
from anyone.core.runtime import Interrupted

HANDLE, TARGET = (24, 20), (30, 34)                       # x, y; the spot is at (24, 20)
QUICK = DragSettings(learning_rate=0.004, tracking_radius=40)


def free_below(row):
    mask = torch.zeros(64, 64)
    mask[:row] = 1
    return mask


@pytest.mark.parametrize("look", [WholeMap, CroppedMap])
def test_the_spot_is_dragged_to_the_target(spot, look):
    result = drag(spot, [HANDLE], [TARGET], settings=QUICK, look=look)
    assert result.outcome == "arrived" and result.distances[0] <= 2
    assert 20 < len(result.steps) - 1 < 100
    torch.testing.assert_close(result.rows[0] * 100, torch.tensor([34.5, 30.5]), atol=2.6, rtol=0)
    assert torch.equal(result.rows[1], spot.start[1])     # what the features do not depend on stays
    first, last = result.steps[0], result.steps[-1]
    assert first.handles.tolist() == [list(HANDLE)] and torch.equal(first.rows, spot.start)
    assert (first.active, first.fixed, first.arrived) == (1, 0, False) and last.arrived
    assert first.loss == first.motion > 0


def test_both_forms_go_the_same_way(make_spot):
    results = [drag(make_spot(), [HANDLE, (40, 20)], [TARGET, (40, 20)], mask=free_below(48), settings=QUICK,
                    look=look) for look in (WholeMap, CroppedMap)]
    found, expected = ([(step.handles.tolist(), step.active) for step in result.steps] for result in results)
    assert found == expected and len(found) > 20
    torch.testing.assert_close(*(result.history() for result in results), atol=1e-5, rtol=0)
    assert results[0].steps[10].fixed > 0
    for step in results[0].steps:
        assert step.loss == pytest.approx(step.motion + 20 * step.fixed)


def test_the_mask_holds_back(make_spot):
    """Where the spot ends up is fixed, so that it goes less far than without a mask."""
    some = DragSettings(learning_rate=0.002, steps=12, tracking_radius=40, mask_weight=200)
    free, held = (drag(make_spot(), [HANDLE], [TARGET], mask=mask, settings=some)
                  for mask in (None, free_below(28)))
    assert held.rows[0, 0] < free.rows[0, 0] - 0.01


@pytest.mark.parametrize(("side", "motion", "tracking", "near"), [
    (64, 1, 2, 2), (128, 1, 3, 2), (256, 2, 6, 2), (512, 3, 12, 2), (1024, 6, 24, 4)])
def test_radii_of_the_specification(make_spot, side, motion, tracking, near):
    """At 64 pixels the published disc is empty and the loss not a number; one pixel is the least here."""
    source = make_spot()
    source.size, source.map_size = (side, side), (side // 2, side // 2)
    session = Session(source, [(1, 1)], [(9, 9)], DragSettings())
    assert (session.motion_radius, session.tracking_radius, session.near) == (motion, tracking, near)
    assert math.isfinite(session.observe().loss)


def test_the_height_of_a_picture_of_a_person_counts(make_spot):
    source = make_spot()
    source.size, source.margin = (64, 32), (0, 16)
    session = Session(source, [(-3, 10), (1.5, 2.5)], [(9, 9), (9, 9)], DragSettings(tracking_radius=40))
    assert session.tracking_radius == 5 and session.canvas == (64, 64)
    assert session.handles == [(10, 13), (2, 18)] and session.targets[0] == (9, 25)


def test_space_w_moves_all_rows_together(spot):
    session = Session(spot, [HANDLE], [TARGET], DragSettings(space="w"))
    assert torch.equal(session.observe().rows, spot.start[:1].expand(2, 2))
    gradient = session.update()
    rows = session.rows()
    assert gradient.shape == (2,) and torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], spot.start[0])


def test_adam_is_torchs():
    parameter = torch.randn(4, 5, requires_grad=True)
    mine, theirs = parameter.detach().clone(), torch.optim.Adam([parameter], lr=0.03)
    adam = Adam(mine, 0.03)
    for _ in range(5):
        parameter.grad = torch.randn(4, 5)
        adam.step(parameter.grad)
        theirs.step()
    torch.testing.assert_close(mine, parameter.detach())


@pytest.mark.parametrize("target", [HANDLE, (25, 21)])
def test_nothing_changes_when_all_handles_are_near(spot, target):
    result = drag(spot, [HANDLE], [target])
    assert result.outcome == "arrived" and len(result.steps) == 1
    assert torch.equal(result.rows, spot.start)
    assert "arrived after 0 steps" in result.report()


def test_handles_that_arrive_are_found_but_not_pulled(spot):
    """Two handles on one spot: the second's target is next to it."""
    result = drag(spot, [HANDLE, (26, 20)], [TARGET, (26, 21)], settings=DragSettings(
        learning_rate=0.002, steps=4, tracking_radius=40))
    assert [step.active for step in result.steps[:2]] == [1, 1]
    assert result.steps[-1].handles[1].tolist() != [26, 20]


def test_steps_are_used_up_and_a_thousand_are_no_trouble(spot):
    result = drag(spot, [HANDLE], [TARGET], settings=DragSettings(steps=1000, learning_rate=1e-6))
    assert result.outcome == "steps used up" and len(result.steps) == 1001
    assert result.history().shape == (1001, 2, 2)


def test_going_back_and_on_from_any_step(make_spot):
    whole = drag(make_spot(), [HANDLE], [TARGET], settings=QUICK)
    middle = whole.steps[10]
    source = make_spot()
    source.start = middle.rows
    again = drag(source, middle.handles, [TARGET], settings=QUICK)
    assert torch.equal(again.steps[0].rows, whole.history()[10])
    assert again.outcome == "arrived" and len(again.steps) < len(whole.steps)


def test_stopping_keeps_the_last_good_frame(spot):
    def stop(step, picture):
        if len(seen) == 3:
            raise Interrupted
        seen.append(step)

    seen = []
    result = drag(spot, [HANDLE], [TARGET], settings=QUICK, on_step=stop)
    assert result.outcome == "stopped" and len(result.steps) == 4
    assert torch.equal(result.steps[2].rows, seen[2].rows) and not torch.equal(result.rows, spot.start)
    with pytest.raises(ZeroDivisionError):
        drag(spot, [HANDLE], [TARGET], on_step=lambda step, picture: 1 / 0)
    hosts = drag(spot, [HANDLE], [TARGET], on_step=lambda step, picture: 1 / 0,
                 interrupts=(ZeroDivisionError,))
    assert hosts.outcome == "stopped" and len(hosts.steps) == 1


def test_pictures_come_four_times_a_second_at_most(spot, monkeypatch):
    clock = iter(i * 0.02 for i in range(1000))           # every look at the clock takes 20 ms
    monkeypatch.setattr(loop_module.time, "monotonic", lambda: next(clock))
    shown = []
    drag(spot, [HANDLE], [TARGET], settings=DragSettings(steps=40, learning_rate=1e-6),
         on_step=lambda step, picture: shown.append(picture))
    with_picture = [index for index, picture in enumerate(shown) if picture is not None]
    assert len(shown) == 41 and with_picture == [0, 13, 26, 39]
    assert shown[0].shape == (64, 64, 3) and torch.equal(spot.drawn[0], spot.start)


def test_slow_pictures_take_a_quarter_of_the_time(spot, monkeypatch):
    clock = iter(range(1000))                             # a picture takes a second
    monkeypatch.setattr(loop_module.time, "monotonic", lambda: next(clock))
    shown = []
    drag(spot, [HANDLE], [TARGET], settings=DragSettings(steps=12, learning_rate=1e-6),
         on_step=lambda step, picture: shown.append(picture is not None))
    assert shown == [True, False, False] * 4 + [True]


def test_numbers_that_overflow_end_the_drag_with_the_last_good_one(make_spot):
    class Fragile(make_spot):
        def features(self, rows, boxes):
            return [part / (rows[0, 0] < 0.23) for part in super().features(rows, boxes)]

    result = drag(Fragile(), [HANDLE], [TARGET], settings=QUICK)
    assert result.outcome == "diverged" and len(result.steps) > 3
    assert 0.22 < result.rows[0, 0] < 0.23 and math.isfinite(result.steps[-1].loss)
    with pytest.raises(ValueError, match="not finite numbers for this latent"):
        drag(Fragile(row=24.0), [HANDLE], [TARGET])


def test_it_works_where_hosts_forbid_gradients(spot):
    with torch.inference_mode():
        mask = free_below(48)
        result = drag(spot, torch.tensor([HANDLE]), torch.tensor([TARGET]), mask=mask, settings=QUICK)
    assert result.outcome == "arrived"


def test_handles_beside_the_picture_pull_at_nothing(make_spot):
    class Beside(make_spot):
        margin, map_size = (0, 64), (32, 96)

        def features(self, rows, boxes):
            return [torch.zeros(3, *box.size) for box in boxes]

    session = Session(Beside(), [(-60, 20)], [(30, 20)], DragSettings())
    session.observe()
    assert not session.update().any()


@pytest.mark.parametrize(("handles", "targets", "message"), [
    ([], [], "at least one handle and its target; got 0 handles and 0 targets"),
    ([HANDLE], [], "got 1 handles and 0 targets"),
    ([HANDLE], [TARGET, TARGET], "2 targets but 1 handles"),
    ([(64, 3)], [TARGET], r"Handle 1 at \(64, 3\) is outside the picture, .* 64 pixels wide and 64 high"),
    ([HANDLE, (3, -1)], [TARGET, TARGET], r"Handle 2 at \(3, -1\) is outside"),
    ([HANDLE], [(5, float("nan"))], r"Target 1 at \(5, nan\) is outside"),
])
def test_bad_points(spot, handles, targets, message):
    with pytest.raises(ValueError, match=message):
        drag(spot, handles, targets)


def test_handles_without_a_target_are_left_out(spot):
    result = drag(spot, [HANDLE, (1, 1), (2, 2)], [TARGET], settings=DragSettings(steps=1))
    assert result.handles.tolist() == [list(HANDLE)]
    assert result.remarks == ("Handles without a target, left out: 2.",)


def test_masks(make_spot):
    with pytest.raises(ValueError, match=r"The mask has the shape \[32, 64\].* 64 wide and 64 high"):
        drag(make_spot(), [HANDLE], [TARGET], mask=torch.ones(32, 64))
    with pytest.raises(ValueError, match="Handle 2 lies where the mask allows no change"):
        drag(make_spot(), [HANDLE, (24, 28)], [TARGET, TARGET], mask=free_below(28))
    one = DragSettings(steps=1)
    for useless in (torch.ones(64, 64), torch.zeros(64, 64), torch.full((64, 64), 0.5)):
        result = drag(make_spot(), [HANDLE], [TARGET], mask=useless, settings=one)
        assert result.steps[1].fixed == 0 and "it was ignored" in result.remarks[0]
    assert drag(make_spot(), [HANDLE], [TARGET], mask=free_below(28), settings=one).remarks == ()


@pytest.mark.parametrize(("changes", "message"), [
    ({"space": "z"}, r"space should be w\+ or w; got 'z'"),
    ({"steps": 0}, "steps should be 1 or more; got 0"),
    ({"learning_rate": 0.0}, "learning_rate should be above 0"),
    ({"motion_radius": -1}, "motion_radius should be 0 or more; got -1"),
    ({"mask_weight": float("nan")}, "mask_weight should be 0 or more; got nan"),
])
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        DragSettings(**changes)


def test_the_report(spot):
    result = drag(spot, [HANDLE], [TARGET], settings=QUICK)
    lines = result.report().splitlines()
    x, y = (int(value) for value in result.steps[-1].handles[0])
    assert lines[0].startswith(f"arrived after {len(result.steps) - 1} steps; mean distance 15.2 -> ")
    assert lines[1] == (f"handle 1: (24, 20) -> ({x}, {y}), {result.distances[0]:.1f} from its target "
                        "(30, 34)")
    assert lines[2].startswith(f"loss {result.steps[0].loss:.4g} -> ")
