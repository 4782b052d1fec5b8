from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from anyone.core.pose import OneEuro, Pose, PoseFrame, fill_gaps, smooth_frames
from anyone.core.pose.smooth import smooth_track

FORWARD = OneEuro(both_ways=False)


def track_of(person: Pose, x: list[float]) -> list[Pose]:
    """The person shifted by x pixels, one pose per number; nan = not seen."""
    return [Pose.empty(200, 256) if math.isnan(dx) else person.moved(dx, 0) for dx in x]


def shifts(track: list[Pose], person: Pose) -> list[float]:
    return [float(pose.keypoints[0, 0] - person.keypoints[0, 0]) if pose.present[0] else math.nan
            for pose in track]


def one_euro(x: list[float], settings: OneEuro, unit: float) -> list[float]:
    """The paper's filter, number by number."""
    def alpha(cutoff: float) -> float:
        return 1 / (1 + settings.fps / (2 * math.pi * cutoff))
    y, speed, out = x[0] / unit, 0.0, [x[0]]
    for value in x[1:]:
        speed += alpha(settings.d_cutoff) * ((value / unit - y) * settings.fps - speed)
        y += alpha(settings.min_cutoff + settings.beta * abs(speed)) * (value / unit - y)
        out.append(y * unit)
    return out


def test_a_step_at_rest(person):
    """beta 0: a plain low-pass filter of 1 Hz at 30 frames per second, alpha = 1 / (1 + 30 / 2 pi)."""
    settings = OneEuro(fps=30, min_cutoff=1, beta=0, both_ways=False)
    out = shifts(smooth_track(track_of(person, [0, 10, 10]), settings), person)
    assert out == pytest.approx([0, 1.731738, 3.163581], abs=1e-4)


def test_the_paper_s_numbers(person):
    x = [0, 3, 5, 9, 20, 18, 18.5, 40, 41, 39, 0]
    unit = math.sqrt(76 * 208)                                                    # the person's box
    for settings in (FORWARD, OneEuro(25, 0.5, 3, 1, both_ways=False)):
        out = shifts(smooth_track(track_of(person, x), settings), person)
        assert out == pytest.approx(one_euro(x, settings, unit), abs=1e-3)


def test_a_constant_stays(person):
    for settings in (FORWARD, OneEuro()):
        for pose in smooth_track(track_of(person, [0] * 8), settings):
            torch.testing.assert_close(pose.keypoints, person.keypoints)
            assert torch.equal(pose.scores, person.scores)


def test_the_size_of_the_picture_does_not_matter(person):
    x = [0.0, 8, 3, 12, 30]
    small = smooth_track(track_of(person, x), OneEuro())
    large = smooth_track([pose.scaled(800, 1024) for pose in track_of(person, x)], OneEuro())
    for a, b in zip(small, large, strict=True):
        torch.testing.assert_close(a.scaled(800, 1024).keypoints, b.keypoints, atol=1e-2, rtol=0)


def test_both_ways_commutes_with_time_reversal(person):
    track = track_of(person, [0, 4, 2, 9, math.nan, 12, 11, 30])
    there = shifts(smooth_track(track, OneEuro()), person)
    back = shifts(smooth_track(track[::-1], OneEuro()), person)[::-1]
    assert there == pytest.approx(back, abs=1e-4, nan_ok=True)


def test_noise_shrinks_and_motion_does_not_lag(person):
    """Noise of 0.6 % of the person's size on a person at rest, then on one who sways at 0.4 Hz."""
    time, noise = torch.arange(120) / 30, 0.75 * torch.randn(120, generator=torch.Generator().manual_seed(0))
    for sway, most in ((0.0, 0.5), (30.0, 0.85)):
        true = sway * torch.sin(2 * math.pi * 0.4 * time)
        out = torch.tensor(shifts(smooth_track(track_of(person, (true + noise).tolist()), OneEuro()), person))
        assert float((out - true).square().mean().sqrt() / noise.square().mean().sqrt()) < most


def test_a_short_gap_is_remembered_a_long_one_is_not(person):
    for missing, remembered in ((5, True), (6, False)):
        out = shifts(smooth_track(track_of(person, [0, 0] + [math.nan] * missing + [10]), FORWARD), person)
        assert all(math.isnan(value) for value in out[2:-1])
        assert (0 < out[-1] < 9) is remembered
        assert (out[-1] == pytest.approx(10, abs=1e-4)) is not remembered


def test_a_gap_counts_as_slower_sampling(person):
    settings = OneEuro(fps=30, beta=0, both_ways=False)
    slower = OneEuro(fps=15, beta=0, both_ways=False)
    gap = shifts(smooth_track(track_of(person, [0, math.nan, 10]), settings), person)[-1]
    assert gap == pytest.approx(shifts(smooth_track(track_of(person, [0, 10]), slower), person)[-1], abs=1e-4)


def test_unsure_joints_pull_less(person):
    settings = OneEuro(beta=0, both_ways=False)
    track = track_of(person, [0, 10])
    track[1] = replace(track[1], scores=torch.cat([torch.tensor([0.25]), torch.ones(17)]))
    moved = smooth_track(track, settings)[1].keypoints - person.keypoints
    assert float(moved[0, 0]) == pytest.approx(1.731738 / 2, abs=1e-4)
    assert float(moved[1, 0]) == pytest.approx(1.731738, abs=1e-4)


def test_frames_are_smoothed_by_number(person):
    frames = [PoseFrame(200, 256, (person, person.moved(40, 0))), PoseFrame(200, 256, (person.moved(10, 0),)),
              PoseFrame(400, 512, tuple(p.scaled(400, 512) for p in (person, person.moved(44, 0))))]
    out = smooth_frames(frames, FORWARD)
    assert [len(frame.people) for frame in out] == [2, 2, 2]
    assert shifts([frame.people[0] for frame in out], person) == pytest.approx(
        shifts(smooth_track(track_of(person, [0, 10, 0]), FORWARD), person))
    assert not out[1].people[1].present.any()
    assert 40 < float(out[2].people[1].keypoints[0, 0] - person.keypoints[0, 0]) < 44
    assert smooth_frames([], FORWARD) == []
    assert smooth_track([], FORWARD) == []


@pytest.mark.parametrize("name", ["fps", "min_cutoff", "d_cutoff"])
def test_settings_must_make_sense(name):
    with pytest.raises(ValueError, match=f"{name} should be above 0; got 0"):
        OneEuro(**{name: 0})


def test_gaps_are_filled_evenly(person, without):
    track = track_of(person, [0, math.nan, math.nan, 9, math.nan])
    track[1] = without(person.moved(100, 0), "nose")                              # all but the nose
    frames = [PoseFrame(200, 256, (pose,)) for pose in track]
    out = [frame.people[0] for frame in fill_gaps(frames, longest=2)]
    assert shifts(out, person) == pytest.approx([0, 3, 6, 9, math.nan], nan_ok=True)
    assert [float(pose.scores[0]) for pose in out] == [1, 0.5, 0.5, 1, 0]
    assert float(out[1].keypoints[1, 0]) == 200
    assert float(out[2].keypoints[1, 0]) == pytest.approx(100 + (100 + 9) / 2)
    too_long = shifts([frame.people[0] for frame in fill_gaps(frames, longest=1)], person)
    assert too_long == pytest.approx([0, math.nan, math.nan, 9, math.nan], nan_ok=True)
