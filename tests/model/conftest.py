"""What all model tests share: the path to their support, the marker `long`, and a line of timings
at the end.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "long: takes minutes; runs only in `make test-long` (-m long, or LOCKSTEP_LONG=1)",
    )
    if config.option.durations is None:
        config.option.durations, config.option.durations_min = 5, 1.0


def pytest_collection_modifyitems(config, items):
    if config.option.markexpr or os.environ.get("LOCKSTEP_LONG"):
        return
    quick = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
    items[:] = quick


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A store of a small random model, for tests of behaviour: (directory, case)."""
    from support.lockstep import shard
    from support.random_model import Case

    folder = tmp_path_factory.mktemp("small")
    case = Case.behaving()
    case.gguf().write(folder / "small.gguf")
    return shard(folder / "small.gguf", folder / "store"), case
