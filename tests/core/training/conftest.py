import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy():
    """The module `toy.py`: a task of a few numbers and its data."""
    spec = importlib.util.spec_from_file_location("toy", Path(__file__).parent / "toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pool(toy, tmp_path):
    from anyone.core.training import Pool

    return Pool(toy.write_pool(tmp_path / "pool"))
