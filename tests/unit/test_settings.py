import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from course_lib import files, settings
from course_lib.settings import CourseError


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """git(words) in a repository of its own that holds the library and a record."""

    def git(*words):
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.check_output(["git", *name, *words], cwd=tmp_path, text=True).strip()

    for file in ("course_lib/engine/training.py", "data/records/a.json"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("1")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    settings.commit.cache_clear()
    yield git
    settings.commit.cache_clear()


@pytest.mark.parametrize(
    "file, mark",
    [
        (None, ""),
        ("data/records/a.json", ""),  # published by the run before
        ("course_lib/engine/training.py", "-dirty"),
        ("course_lib/new.py", "-dirty"),
    ],
)
def test_the_commit_is_dirty_when_the_library_is(repository, file, mark):
    if file:
        (settings.ROOT / file).write_text("2")
    assert settings.commit() == repository("rev-parse", "--short=12", "HEAD") + mark


def test_in_a_hook_and_in_anothers_repository_the_commit_is_the_courses(repository, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert len(settings.commit()) == 12
    settings.commit.cache_clear()
    monkeypatch.setattr(settings, "ROOT", settings.ROOT / "data")
    assert settings.commit() == "unknown"


def test_the_commit_is_that_of_the_first_question(repository):
    first = settings.commit()
    repository("commit", "--quiet", "--allow-empty", "-m", "second")
    assert settings.commit() == first


def one_line(error) -> str:
    message = str(error.value)
    assert message and "\n" not in message
    return message


@pytest.mark.parametrize("set_to, expected", [(None, "quick"), ("", "quick"), ("ci", "ci")])
def test_profile_comes_from_the_environment_and_defaults_to_quick(monkeypatch, set_to, expected):
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    if set_to is not None:
        monkeypatch.setenv("COURSE_PROFILE", set_to)
    assert settings.profile().name == expected
    assert settings.profile("full").name == "full", "an argument goes before the environment"


@pytest.mark.parametrize("wrong, near", [("quik", "quick"), ("FULL", "full"), ("ci2", "ci")])
def test_wrong_profile_names_the_nearest(monkeypatch, wrong, near):
    with pytest.raises(CourseError) as error:
        settings.profile(wrong)
    assert wrong in one_line(error) and near in one_line(error).split("did you mean")[1]
    monkeypatch.setenv("COURSE_PROFILE", wrong)
    with pytest.raises(CourseError):
        settings.profile()


@pytest.mark.parametrize("wrong", ["-1", "1.5", "one", "", "nan", "1e3", "9" * 5000])
def test_seed_must_be_a_whole_number_from_0(monkeypatch, wrong):
    monkeypatch.setenv("COURSE_SEED", wrong)
    if wrong == "":
        assert settings.seed() == 0
        return
    with pytest.raises(CourseError) as error:
        settings.seed()
    assert "COURSE_SEED" in one_line(error)


def test_seed_must_fit_what_the_generators_take(monkeypatch):
    monkeypatch.setenv("COURSE_SEED", str(2**32 - 1))
    assert settings.seed() == 2**32 - 1
    monkeypatch.setenv("COURSE_SEED", str(2**32))  # NumPy and Keras refuse it with a traceback
    with pytest.raises(CourseError) as error:
        settings.seed()
    assert "COURSE_SEED" in one_line(error)


@pytest.mark.parametrize("wrong", ["0", "-3", "nan", "inf", "1e999", "soon", ""])
def test_positive_refuses_all_but_finite_numbers_above_0(wrong):
    with pytest.raises(CourseError) as error:
        settings.positive(wrong, "--minutes")
    assert "--minutes" in one_line(error)


def test_positive_and_whole_number_return_numbers():
    assert settings.positive("2.5", "--minutes") == 2.5
    assert settings.whole_number("7", "--jobs", least=1) == 7
    with pytest.raises(CourseError, match="from 1"):
        settings.whole_number("0", "--jobs", least=1)


@pytest.mark.parametrize(
    "function, variable, default",
    [("data_dir", "COURSE_DATA_DIR", "data/cache"), ("runs_dir", "COURSE_RUNS_DIR", "data/runs")],
)
def test_folders(monkeypatch, tmp_path, function, variable, default):
    folder = getattr(settings, function)
    monkeypatch.delenv(variable, raising=False)
    assert folder() == settings.ROOT / default
    monkeypatch.setenv(variable, str(tmp_path / "not-yet"))
    assert folder() == tmp_path / "not-yet" and not folder().exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here")
    assert folder() == tmp_path / "here", "a folder does not move with the working directory"
    monkeypatch.setenv(variable, "~/there")
    assert folder() == Path.home() / "there"


@pytest.mark.parametrize("name", ["x" * 300, "file/below"])
def test_a_folder_that_cannot_be_looked_into_is_one_clear_error(monkeypatch, tmp_path, name):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / name))
    with pytest.raises(CourseError, match="COURSE_DATA_DIR") as error:
        settings.data_dir()
    assert one_line(error).endswith("; name another")


def test_home_of_an_unknown_user_is_one_clear_error(monkeypatch):
    monkeypatch.setenv("COURSE_RUNS_DIR", "~no-such-user/runs")
    with pytest.raises(CourseError) as error:
        settings.runs_dir()
    assert "COURSE_RUNS_DIR" in one_line(error)


def test_writable_makes_the_folder_and_leaves_nothing_in_it(tmp_path):
    assert files.writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_folder_may_be_tried_by_several_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(files.writable, [tmp_path] * 400)) == {tmp_path}


def test_unwritable_folder_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CourseError) as error:
            files.writable(folder)
        assert str(folder) in one_line(error) and "COURSE_RUNS_DIR" in one_line(error)

    def refuse(*args, **kwargs):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CourseError, match="Permission denied"):
        files.writable(tmp_path)
