"""Many runs in one process: equal inputs give equal pixels, and memory does not grow.

Ten seconds by default; `make soak` takes ten minutes, SOAK_SECONDS any time.
"""
from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import torch
from anyone.core.graph import workflow
from anyone.core.graph.core_nodes import CORE_NODES
from anyone.core.graph.outcome import LocalRunner
from anyone.core.runtime import Runtime
from anyone.nodes import NODES

WORKFLOW = Path(__file__).resolve().parent.parent / "workflows" / "inpaint_synthetic.json"
SECONDS = float(os.environ.get("SOAK_SECONDS", "10"))
SEEDS = 3


def test_runs_repeat_and_memory_stays(tmp_path):
    runner = LocalRunner([*CORE_NODES, *NODES], Runtime("cpu", tmp_path))
    info = runner.info()
    prompt = workflow.to_prompt(workflow.read(WORKFLOW), info)
    painter = workflow.find_node(prompt, "AnyoneInpaintPerson")
    first, peaks, end = {}, [], time.monotonic() + SECONDS
    while time.monotonic() < end or len(peaks) < 3 * SEEDS:
        seed = len(peaks) % SEEDS
        workflow.set_value(prompt, "AnyoneInpaintPerson.seed", str(seed), info)
        outcome = runner.run(prompt, {}, lambda event, data: None)
        assert not outcome.problems()
        picture = outcome.result.values[painter][0][0]
        assert torch.equal(picture, first.setdefault(seed, picture))
        for path in outcome.saved:
            path.unlink()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert not torch.equal(first[0], first[1])
    assert peaks[-1] < 1.05 * peaks[2 * SEEDS - 1]
