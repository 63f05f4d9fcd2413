"""What every test below tests/ can rely on."""

import os

import pytest

from course_lib import processor

# As the command `run` does: one thread, so that a run in this process and one in another agree bit
# for bit. TensorFlow reads it when it first computes, which may be while tests are collected.
processor.use_threads(1)
# In a hook git sets GIT_DIR, and a test's own repository would be the caller's.
for name in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[name]
# TensorFlow reads it at its import: tests that import Keras directly stay quiet too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_modifyitems(items):
    """Groups, whose tests share a dear fixture and so a worker, begin first: a long one at the end
    would be waited for. Without xdist this changes the order and nothing else."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path):
    """Neither the caller's profile and seed nor the caller's runs reach a test."""
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    monkeypatch.delenv("COURSE_SEED", raising=False)
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path / "runs"))
