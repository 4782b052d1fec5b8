"""Pictures that several checks look at, drawn once."""
import pytest
import torch
from anyone.core.synthetic import Rendering, render_people


@pytest.fixture(scope="session")
def studio() -> Rendering:
    return render_people(torch.arange(64), 128, 128, mode="studio")


@pytest.fixture(scope="session")
def scenes() -> Rendering:
    return render_people(torch.arange(64), 144, 80, bystanders=.5, occluders=.25)
