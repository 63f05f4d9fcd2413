"""`make record` in a repository of its own, whose course_lib does what a plan says."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import queued
import record

from course_lib import records, settings
from course_lib.engine import checkpoints

BN = "squeezenet/bn"
COURSE = settings.ROOT

# A run finishes, unless the plan has something else for its seed, which it does once.
FAKE = """
import json, os, pathlib, subprocess, sys, time
import course_lib
import numpy as np

words = sys.argv[1:]
assert words[:2] == ["run", "squeezenet/bn"] and "--publish" in words
seed = words[words.index("--seeds") + 1]
name = f"{words[1]}/{words[words.index('--profile') + 1]}-seed{seed}"
runs, here = pathlib.Path(os.environ["COURSE_RUNS_DIR"]), pathlib.Path.cwd()
assert pathlib.Path(course_lib.__file__).parent.parent == here
commit = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], text=True).strip()
with open(runs / "calls", "a") as calls:
    print(seed, commit, os.getpid(), os.nice(0), file=calls)
plan = runs / f"plan-{seed}"
todo = plan.read_text() if plan.exists() else "finish"
plan.unlink(missing_ok=True)
if todo == "fail":
    print("first line", "the disk is full", sep="\\n")
    sys.exit(2)
if todo in ("stop", "hang"):
    (runs / name).mkdir(parents=True, exist_ok=True)
    state = {"circumstances": {"commit": commit}, "seconds_per_epoch": [60.0]}
    np.savez(runs / name / "checkpoint.npz", state=np.array(json.dumps(state)))
    time.sleep(60 if todo == "hang" else 0)
    sys.exit(3)
if todo == "finish":
    text = (runs / "record.json").read_text()
    for file in f"data/records/{name}.json", f"data/weights/{words[1]}.safetensors":
        (here / file).parent.mkdir(parents=True, exist_ok=True)
        (here / file).write_text(text.replace('"seed": 0', f'"seed": {seed}'))
"""


class Repository:
    """Its queue, its plan, what was called, and `make record` in it."""

    def __init__(self, root, capfd):
        self.root, self.runs, self.capfd = root, root / "data" / "runs", capfd

    def git(self, *words) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@y"]
        command = ["git", *who, *words]
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> str:
        self.git("add", "course_lib", ".gitignore")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "--short=12", "HEAD")

    def queue(self, *lines):
        (self.root / "data" / "queue.txt").write_text("\n".join(lines))

    def seeds(self, *seeds):
        self.queue(*(f"{BN} quick {seed}  # why" for seed in seeds))

    def plan(self, **what):
        for name, todo in what.items():
            (self.runs / f"plan-{name.removeprefix('seed')}").write_text(todo)

    def calls(self) -> list[list[str]]:
        """Seed, commit, process and priority of each, and forget them."""
        file = self.runs / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line.split() for line in lines]

    def record(self, *words):
        status = record.main(["--jobs", "1", *words])
        return status, *self.capfd.readouterr()

    def in_a_process(self):
        code = (
            "import sys, pathlib, record; from course_lib import settings;"
            f"settings.ROOT = pathlib.Path({str(self.root)!r});"
            "settings.RECORDS_DIR = settings.ROOT / 'data/records';"
            "sys.exit(record.main(['--jobs', '2']))"
        )
        path = os.pathsep.join([str(COURSE), str(COURSE / "tools")])
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )

    def published(self) -> list[str]:
        folder = self.root / "data"
        return sorted(f.stem for f in folder.glob("records/*/*/*") if f.is_file())

    def clones(self) -> set[str]:
        return {f.name for f in (self.runs / "record" / "checkouts").iterdir()}


@pytest.fixture
def repository(tmp_path, monkeypatch, make_record, capfd):
    here = Repository(tmp_path / "course", capfd)
    (here.root / "course_lib").mkdir(parents=True)
    here.runs.mkdir(parents=True)
    (here.root / "course_lib" / "__init__.py").write_text("")
    (here.root / "course_lib" / "__main__.py").write_text(FAKE)
    (here.root / ".gitignore").write_text("/data/runs/\n__pycache__/\n")
    here.git("init", "--quiet")
    here.commit()
    (here.runs / "record.json").write_text(json.dumps(make_record()))
    monkeypatch.setattr(settings, "ROOT", here.root)
    monkeypatch.setattr(settings, "RECORDS_DIR", here.root / "data" / "records")
    monkeypatch.setenv("COURSE_RUNS_DIR", str(here.runs))
    monkeypatch.setattr(record, "POLL", 0.02)
    return here


def until(true, seconds=30):
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Is it there, and more than an entry of a process that has ended?"""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True)
    return not state.stdout.strip().startswith(b"Z") and bool(state.stdout.strip())


def test_the_queue_of_the_course_is_whole():
    entries = queued.read(COURSE / "data" / "queue.txt")
    assert str(entries[0]) == "squeezenet/plain tenth 0"
    assert {entry.profile.name for entry in entries} == {"tenth", "quick"}


@pytest.mark.parametrize(
    "line, says",
    [
        ("squeezenet/nb quick 0", "squeezenet/bn"),
        ("squeezenet/bn quik 0", "quick"),
        ("squeezenet/bn ci 0", "not published"),
        ("squeezenet/bn quick -1", "seed"),
        ("squeezenet/bn quick", "id profile seed"),
        ("squeezenet/bn quick 0 float8", "float8"),
        ("squeezenet/bn quick 0 float32 1", "id profile seed"),
        ("squeezenet/bn quick 7", "line 1"),
    ],
)
def test_a_wrong_line_is_named_before_anything_starts(repository, line, says):
    repository.queue(f"{BN} quick 7", "# why", "", line)
    status, out, err = repository.record()
    assert (status, out, repository.calls()) == (2, "", [])
    assert f"{settings.ROOT / 'data' / 'queue.txt'}, line 4: " in err and says in err
    assert err.count("\n") == 1


def test_runs_go_in_order_in_a_clone_and_what_they_publish_is_brought_over(repository):
    head = repository.commit()
    edited = repository.root / "course_lib" / "__main__.py"
    edited.write_text("raise SystemExit('the working tree was run')")
    repository.seeds(4, 0, 2)
    status, out, err = repository.record()
    assert (status, err) == (0, "") and "nothing is left" in out.splitlines()[-1]
    calls = repository.calls()
    assert [call[0] for call in calls] == ["4", "0", "2"]
    assert {(call[1], call[3]) for call in calls} == {(head, "19")}, "commit and priority"
    assert repository.published() == ["quick-seed0", "quick-seed2", "quick-seed4"]
    assert (repository.root / "data/weights/squeezenet/bn.safetensors").exists()
    assert repository.git("status", "--porcelain", "course_lib") == "M course_lib/__main__.py"

    clone = repository.runs / "record" / "checkouts" / head
    assert repository.git("-C", str(clone), "status", "--porcelain") == "", "moved, not copied"

    repository.seeds(4, 0, 2, 1)
    status, out, err = repository.record()
    assert [call[0] for call in repository.calls()] == ["1"]


def test_a_run_ends_on_the_commit_on_which_it_began(repository):
    first = repository.commit()
    repository.seeds(0, 1)
    repository.plan(seed0="stop", seed1="stop")
    assert repository.record("--minutes", "5")[0] == 0
    second = repository.commit()
    repository.seeds(0, 2, 1)
    repository.plan(seed1="stop")
    repository.calls()
    repository.record()
    assert [call[:2] for call in repository.calls()] == [["0", first], ["2", second], ["1", first]]
    assert repository.clones() == {first, second}
    repository.record()
    assert [call[:2] for call in repository.calls()] == [["1", first]]
    repository.record()
    assert repository.clones() == {second}


def test_what_failed_is_reported_last_and_takes_the_newest_commit_next_time(repository):
    repository.seeds(0, 1, 2)
    repository.plan(seed0="fail", seed2="nothing")
    status, out, err = repository.record()
    assert status == 1 and repository.published() == ["quick-seed1"]
    assert "squeezenet/bn quick 0: exit status 2" in err and "the disk is full" in err
    assert "squeezenet/bn quick 2: it left no record" in err
    assert "2 of 3 runs are left, 0 of them begun" in out.splitlines()[-1]
    repaired = repository.commit()
    repository.calls()
    assert repository.record()[0] == 0
    assert [call[:2] for call in repository.calls()] == [["0", repaired], ["2", repaired]]


def test_a_run_that_no_commit_could_repeat_is_left_alone(repository):
    folder = repository.runs / BN / "quick-seed0"
    folder.mkdir(parents=True)
    state = {"circumstances": {"commit": "0123456789ab-dirty"}, "seconds_per_epoch": [60.0]}
    np.savez(folder / checkpoints.NEWEST, state=np.array(json.dumps(state)))
    repository.seeds(0, 1)
    status, out, err = repository.record()
    assert status == 1 and "0123456789ab-dirty" in err and str(folder) in err
    assert [call[0] for call in repository.calls()] == ["1"]


def test_code_from_elsewhere_is_refused(repository):
    repository.git("rm", "-rq", "course_lib")
    repository.git("commit", "--quiet", "-m", "x")
    repository.seeds(0)
    status, out, err = repository.record()
    assert status == 1 and "course_lib would come from" in err


def test_what_does_not_stop_in_time_is_ended(repository, monkeypatch):
    monkeypatch.setattr(record, "GRACE", 0)
    repository.seeds(0, 1)
    repository.plan(seed0="hang")
    status, out, err = repository.record("--minutes", "0.05")
    assert (status, err) == (0, "") and "quick 0: stopped" in out
    ((seed, _, process, _),) = repository.calls()
    assert seed == "0" and not alive(int(process))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_runs_end_with_the_one_who_started_them_and_go_on_later(repository, how):
    if how == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("nothing ends a child with its killed parent here")
    repository.seeds(0, 1)
    repository.plan(seed0="hang", seed1="hang")
    with repository.in_a_process() as parent:
        try:
            checkpoint = f"quick-seed*/{checkpoints.NEWEST}"
            until(lambda: len(list((repository.runs / BN).glob(checkpoint))) == 2)
            status, out, err = repository.record()
            assert status == 2 and "at work here" in err
            parent.send_signal(how)
            assert parent.wait(20) == (-9 if how == signal.SIGKILL else 130)
        finally:
            parent.kill()
    processes = [int(call[2]) for call in repository.calls()]
    assert len(processes) == 2
    until(lambda: not any(map(alive, processes)), 5)
    assert repository.record()[0] == 0
    assert repository.published() == ["quick-seed0", "quick-seed1"]


def test_what_is_left_is_measured_where_a_run_has_begun(repository, monkeypatch):
    monkeypatch.setattr(records, "guessed_seconds", lambda run: 960.0)
    repository.queue(f"{BN} quick 0", "squeezenet/he quick 0")
    repository.plan(seed0="stop")
    status, out, err = repository.record("--minutes", "0.01")
    # bn: 3 of 4 epochs of 60 s are left; he: 240 s as well, since 960 s turned out to be 240.
    last = "2 of 2 runs are left, 1 of them begun: about 7 min with 1 side by side, in part a guess"
    assert out.splitlines()[-1].endswith(last)
    assert repository.record("--left")[1].strip() == last
