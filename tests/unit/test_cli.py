import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest

from course_lib import __main__ as cli
from course_lib import datasets, experiments, processor, records, settings
from course_lib.datasets import cifar10, synthetic_tiny, tiny_imagenet
from course_lib.engine import checkpoints, recording
from course_lib.experiments import runs
from course_lib.records import results


@pytest.fixture
def course(folders, monkeypatch, capsys):
    """course("list", ...) -> exit status, output, errors; in this process, own folders."""
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail(f"{name} was asked for"))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["course_lib", *map(str, words)])
        status = cli.main()
        out, err = capsys.readouterr()
        return status, out, err

    return call


def in_a_process(*words, **environment):
    return subprocess.run(
        [sys.executable, *words],
        cwd=settings.ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_ctrl_c_among_the_first_imports_leaves_no_traceback():
    words = [sys.executable, "-X", "importtime", "-m", "course_lib", "list"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as process:
        for line in process.stderr:
            if b"course_lib.settings" in line:
                process.send_signal(signal.SIGINT)
                break
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode in (-signal.SIGINT, 130)


def files_below(folder) -> set[str]:
    found = [f for f in folder.rglob("*") if f.is_file() and f.name != ".lock"]
    return {str(f.relative_to(folder)) for f in found}


HEAVY = {"keras", "tensorflow", "jax", "torch", "pandas", "scipy", "matplotlib", "sklearn"}


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["show", "squeezenet/nn"]])
def test_no_heavy_package_is_loaded_to_list_or_to_refuse(words):
    code = (
        f"import sys; sys.argv[1:] = {words!r}; from course_lib.__main__ import main; main();"
        f"print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = in_a_process("-c", code)
    assert done.stderr.splitlines()[-1] == "", "loaded, and they take seconds"


def test_list_json_is_an_array_of_objects_with_the_agreed_keys(course, make_record):
    for seed, last in enumerate((0.4, 0.5)):
        records.write(make_record(seed=seed, last=last))
    status, out, err = course("list", "--json")
    rows = {row["id"]: row for row in json.loads(out)}
    assert (status, err) == (0, "") and list(rows) == experiments.ids()
    bn, he = rows["squeezenet/bn"], rows["squeezenet/he"]
    assert bn["parameters"] == {"total": 741_088, "trainable": 735_116, "non_trainable": 5_972}
    assert isinstance(bn["macs"], int) and "86 %" in bn["reported"]
    assert bn["source"].startswith("S1") and bn["question"].endswith("?")
    assert bn["records"] == [{"profile": "quick", "seeds": [0, 1], "final": [40.0, 50.0]}]
    assert he["reported"] is he["source"] is None and he["records"] == []


def test_show_describes_the_experiment_and_its_layers(course):
    status, out, err = course("show", "squeezenet/bn")
    assert (status, err) == (0, "")
    assert experiments.get("squeezenet/bn").question in out
    assert "batch normalisation after each convolution: no → yes" in out
    assert re.search(r"conv1 +Conv2D +16x16x96 +2,688 +663,552", out)
    assert re.search(r"total +741,088 +13,135,972", out)
    assert "augmentation" in out and "0.125" in out


def test_list_takes_how_ids_begin(course):
    found = json.loads(course("list", "resnet", "--json")[1])
    assert [row["id"] for row in found] == [id for id in experiments.ids() if id[:6] == "resnet"]


@pytest.mark.parametrize("id", ["squeezenet/bn", "resnet-v1/20", "minigooglenet/lr-1e-3"])
def test_show_toml_is_an_entry_whose_lines_say_what_its_parent_is(course, id):
    out = course("show", id, "--toml")[1]
    everything = tomllib.loads(re.sub("(?m)^# (?=[a-z_]+ = )", "", out))
    ((name, entry),) = everything.items()
    known = {id: experiments.get(id)}
    whole = experiments._experiment(name, entry, "", known)
    assert whole.configuration() == known[id].configuration() and whole.parent == id
    assert (whole.parameters, whole.macs) == (known[id].parameters, known[id].macs)
    (bare,) = tomllib.loads(out).values()
    assert bare.keys() == {"parent", "question", "note"}, "what is not kept is not declared"


def test_show_says_where_an_entry_counts_another_network(course, monkeypatch):
    wrong = replace(experiments.get(BN), macs=1)
    monkeypatch.setitem(experiments._EXPERIMENTS, BN, wrong)
    out = course("show", BN)[1]
    assert re.search(r"total +741,088 +13,135,972\n", out)
    assert "parameters = [741088, 735116, 5972], macs = 13135972" in out


BN = "squeezenet/bn"
RESTART = ["--from-epoch", "40", "60", "--learning-rate", "1e-4", "1e-5"]
WRONG = [
    (["show", "squeezenet/BN"], BN),
    (["show", BN, "--against", "squeezenet/plian"], "squeezenet/plain"),
    (["run", "squeezenet/nb"], BN),
    (["run", BN, "--profile", "quik"], "quick"),
    (["run", BN, "--seeds", "0", "-1"], "--seeds must be a whole number from 0"),
    (["run", BN, "--jobs", "0"], "--jobs must be a whole number from 1"),
    (["run", BN, "--threads", "0"], "--threads must be a whole number from 1"),
    (["run", BN, "--minutes", "0"], "--minutes must be a number above 0"),
    (["run", BN, "--minutes", "nan"], "--minutes must be a number above 0"),
    (["run", BN, "--profile", "ci", "--publish"], "not published"),
    (["run", BN, *RESTART, "--publish"], "not published"),
    (["run", BN, "--from-epoch", "40"], "go together"),
    (["run", BN, "--from-epoch", "40", "60", "--learning-rate", "1e-4"], "go together"),
    (["run", BN, "--from-epoch", "60", "40", "--learning-rate", "1", "2"], "in the order"),
    (["run", BN, "--from-epoch", "0", "--learning-rate", "1"], "--from-epoch must be"),
    (["run", BN, "--from-epoch", "40", "--learning-rate", "0"], "--learning-rate must be"),
    (["run", BN, "--from-epoch", "--learning-rate", "1"], "--from-epoch"),
    (["run", BN, "--precision", "float16"], "mixed_float16"),
    (["show", BN, "--evaluate", "--seed", "-1"], "--seed must be a whole number from 0"),
    (["show", BN, "--evaluate"], f"course_lib run {BN} --again --profile quick --seeds 0"),
    (["run", BN, "--again", "--publish"], "not published"),
    (["show", BN, "--seeds", "0", "1"], "1"),
    (["run"], "ID"),
    (["prepare", "tiny_imagenet"], "tiny-imagenet"),
    (["prepare"], "dataset"),
    (["lst"], "list"),
    (["list", "two\nlines"], "two"),
    (["list", "sqeezenet"], "squeezenet, "),
    ([], "command"),
]


@pytest.mark.parametrize("words, says", WRONG, ids=lambda v: " ".join(v) if type(v) is list else "")
def test_wrong_call_ends_with_status_2_and_one_line(course, words, says):
    status, out, err = course(*words)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1 and says in err


@pytest.mark.parametrize(
    "variable, value, says",
    [
        ("COURSE_PROFILE", "qick", "quick"),
        ("COURSE_SEED", "-1", "COURSE_SEED must be a whole number from 0"),
    ],
)
def test_wrong_environment_ends_with_status_2_and_one_line(
    course, monkeypatch, variable, value, says
):
    monkeypatch.setenv(variable, value)
    status, out, err = course("run", BN)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1 and says in err


def test_the_process_itself_ends_with_status_2_and_no_traceback():
    done = in_a_process("-m", "course_lib", "run", "squeezenet/BN")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("course_lib: no experiment 'squeezenet/BN'; did you mean ")
    assert done.stderr.count("\n") == 1


def test_reader_that_stops_reading_is_no_error():
    code = "import sys; sys.argv[1:] = ['list']; from course_lib.__main__ import main;"
    command = f'"{sys.executable}" -c "{code} sys.exit(main())" | true; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command], cwd=settings.ROOT, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr and done.stderr == ""


def printed(*words, to=subprocess.PIPE, **variables):
    """What `list small` writes, and how it ends, with these variables."""
    command = [sys.executable, "-m", "course_lib", *words]
    options = {"cwd": settings.ROOT, "env": {**os.environ, **variables}, "errors": "replace"}
    return subprocess.run(command, stdout=to, stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("coding", ["ascii", "cp1252", "gbk"])
def test_output_in_a_coding_that_lacks_letters_has_question_marks(coding):
    for words in (["list", "minigooglenet"], ["prepare", "--help"]):
        done = printed(*words, PYTHONIOENCODING=coding, PYTHONUTF8="0")
        assert (done.returncode, done.stderr) == (0, "") and len(done.stdout) > 1000


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        done = printed("list", "small", to=full)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "No space left" in done.stderr


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["none", "closed"])
def test_without_a_stream_for_errors_keras_is_imported(stream, monkeypatch):
    from course_lib import backend

    if stream:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with backend._without_startup_lines():
        pass


@pytest.fixture
def trained(monkeypatch, make_record):
    """training.train without the training: returns a whole record and a small network, which is
    the experiment's as far as a record can say."""
    from course_lib.backend import keras
    from course_lib.engine import training
    from course_lib.models import graph

    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    calls = Calls()
    monkeypatch.setattr(settings, "commit", lambda: "0123456789ab")

    def train(one, folder, *, minutes):
        calls.append((one.experiment.id, one.profile.name, one.seed))
        told = {"restarts": one.restarts, "precision": one.precision, "minutes": minutes}
        calls.options.append(told)
        record = make_record(*calls[-1], restarts=one.restarts)
        record["precision"] = one.precision or one.profile.precisions[-1]
        records.write(record, folder)
        return SimpleNamespace(finished=True, record=record, model=model, run=one, epochs=4)

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(graph, "of", lambda experiment: make_record(experiment.id)["network"])
    return calls


class Calls(list):
    """What was run: (id, profile, seed); and in `options` with which other options."""

    def __init__(self):
        super().__init__()
        self.options = []


def test_runs_stay_local_and_are_not_repeated(course, trained, folders):
    status, out, err = course("run", BN, "squeezenet/he", "--seeds", "0", "1")
    assert (status, err) == (0, "")
    assert trained == [(BN, "quick", 0), ("squeezenet/he", "quick", 0),
                       (BN, "quick", 1), ("squeezenet/he", "quick", 1)]  # fmt: skip
    assert not (folders / "records").exists() and not (folders / "weights").exists()
    file = folders / "runs" / "squeezenet" / "bn" / "quick-seed0.json"
    assert str(file) in out.splitlines() and "4 to run, about" in out
    status, out, _ = course("run", BN, "squeezenet/he", "--seeds", "0", "1", "2")
    assert "4 of 6 recorded already" in out and len(trained) == 6


def test_a_run_named_twice_is_run_once(course, trained):
    course("run", BN, BN, "--seeds", "0", "0")
    assert trained == [(BN, "quick", 0)]


def test_what_is_published_is_run_again_on_demand_and_stays_local(course, trained, folders):
    course("run", BN, "--publish")
    assert "recorded already" in course("run", BN)[1] and len(trained) == 1
    course("run", BN, "--again")
    assert len(trained) == 1, "one's own record is there since the first run"
    (folders / "runs" / BN / "quick-seed0.json").unlink()
    course("run", BN, "--again")
    assert len(trained) == 2


def test_publish_publishes_what_was_run_before_without_running_it_again(course, trained, folders):
    course("run", BN)
    status, out, _ = course("run", BN, "--publish")
    assert status == 0 and trained == [(BN, "quick", 0)]
    assert files_below(folders / "records") == {"squeezenet/bn/quick-seed0.json"}
    assert str(folders / "records" / "squeezenet" / "bn" / "quick-seed0.json") in out
    assert not (folders / "weights").exists(), "weights are of full runs"


def test_asking_whether_a_run_is_recorded_publishes_nothing(course, trained, folders):
    course("run", BN)
    assert not recording.settled(runs.named(BN, "quick", 0), publish=True)
    assert not (folders / "records").exists()


def test_record_of_another_network_is_not_published(course, trained, folders, make_record):
    records.write({**make_record(), "network": "another"}, folders / "runs")
    status, _, err = course("run", BN, "--publish")
    assert status != 0 and trained == [] and not (folders / "records").exists()
    (line,) = err.splitlines()
    assert "seed 0, is of another network" in line and "delete the record" in line


@pytest.mark.parametrize("where", ["records", "runs"])
def test_record_in_the_place_of_another_run_is_not_taken_for_it(
    course, trained, folders, make_record, where
):
    file = records.write(make_record(), folders / where)
    file.rename(file.with_name("quick-seed5.json"))
    status, out, _ = course("run", BN, "--seeds", "5", "--publish")
    assert status == 0 and "of another run" in out and trained == [(BN, "quick", 5)]


def test_without_options_a_run_follows_its_protocol_on_one_thread(course, trained):
    assert course("run", BN)[0] == 0
    assert trained.options == [{"restarts": (), "precision": None, "minutes": None}]
    assert {os.environ[name] for name in processor.THREADS.values()} == {"1"}
    course("run", "squeezenet/he", "--threads", "2")
    assert {os.environ[name] for name in processor.THREADS.values()} == {"2"}


@pytest.mark.parametrize("commit", ["unknown", "0123456789ab-dirty"])
def test_code_of_no_commit_is_not_published_nor_trained_for_it(
    course, trained, folders, monkeypatch, commit
):
    monkeypatch.setattr(settings, "commit", lambda: commit)
    status, out, err = course("run", BN, "--publish")
    assert (status, out, trained) == (2, "", []) and len(err.splitlines()) == 1
    assert commit in err and "commit course_lib first" in err
    assert not (folders / "records").exists()


@pytest.mark.parametrize("commit", ["unknown", "0123456789ab-dirty"])
def test_a_local_record_of_code_of_no_commit_is_not_published(
    course, trained, folders, make_record, commit
):
    records.write({**make_record(), "commit": commit}, folders / "runs")
    status, _, err = course("run", BN, "--publish")
    assert status == 2 and "delete the record and run it again" in err
    assert not (folders / "records").exists() and trained == []


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_precision_and_minutes_reach_the_run(course, trained, precision):
    assert course("run", BN, "--precision", precision, "--minutes", "5")[0] == 0
    (options,) = trained.options
    assert options["precision"] == precision and 4.9 < options["minutes"] <= 5


def test_restarts_reach_the_run_and_have_a_record_of_their_own(course, trained, folders):
    full = "--profile", "full"
    course("run", BN, *full)
    status, out, _ = course("run", BN, *full, *RESTART)
    assert status == 0 and trained == [(BN, "full", 0)] * 2, "it is another run"
    assert trained.options[1]["restarts"] == ((40, 1e-4), (60, 1e-5))
    file = "squeezenet/bn/full-seed0-from40-at0.0001-from60-at1e-05.json"
    assert files_below(folders / "runs") == {"squeezenet/bn/full-seed0.json", file}
    assert str(folders / "runs" / file) in out.splitlines()
    status, out, _ = course("run", BN, *full, *RESTART)
    assert "1 of 1 recorded already" in out and len(trained) == 2
    course("run", BN, *full, *RESTART[:2], "--learning-rate", "1e-4")
    assert len(trained) == 3, "with fewer restarts it is yet another"


@pytest.mark.parametrize("first", [[], [BN]], ids=["at once", "after a run without"])
def test_published_full_runs_of_seed_0_carry_their_weights(course, trained, folders, first):
    if first:
        course("run", *first, "--profile", "full")
    status, _, _ = course("run", BN, "--profile", "full", "--seeds", "0", "1", "--publish")
    assert status == 0
    assert files_below(folders / "records") == {
        "squeezenet/bn/full-seed0.json",
        "squeezenet/bn/full-seed1.json",
    }
    assert files_below(folders / "weights") == {"squeezenet/bn.safetensors"}


def weights_below(folders) -> set[str]:
    folder = folders / "weights"
    return files_below(folder) if folder.exists() else set()


@pytest.mark.parametrize(
    "profile, precision, number",
    [
        ("full", "float32", 1),
        ("full", "mixed_bfloat16", 0),
        ("tenth", "mixed_bfloat16", 1),
        ("tenth", "float32", 1),
        ("tenth", "mixed_float16", 0),
        ("quick", "float32", 0),
    ],
)
def test_published_weights_are_those_of_the_profiles_own_precision(
    course, trained, folders, profile, precision, number
):
    words = ["--profile", profile, "--publish", "--precision", precision]
    assert course("run", BN, *words)[0] == 0
    assert len(weights_below(folders)) == number


def test_weights_of_a_full_run_take_the_place_of_a_tenth_and_not_the_reverse(
    course, trained, folders
):
    def publish(profile):
        course("run", BN, "--profile", profile, "--publish")
        return checkpoints.weights_source(settings.weights_of(BN))["profile"]

    assert [publish(profile) for profile in ("tenth", "full", "tenth")] == ["tenth", "full", "full"]
    (folders / "records" / BN / "tenth-seed0.json").unlink()
    (folders / "runs" / BN / "tenth-seed0.json").unlink()
    assert publish("tenth") == "full" and len(trained) == 3


def test_only_what_its_entry_names_carries_weights(course, trained, folders):
    assert not experiments.get("squeezenet/he").weights
    assert course("run", "squeezenet/he", "--profile", "full", "--publish")[0] == 0
    assert weights_below(folders) == set()


def test_weights_of_more_than_8_megabytes_are_not_published(course, trained, folders, monkeypatch):
    large, small = (replace(experiments.get(f"resnet-v2/{n}"), weights=True) for n in (164, 110))
    for experiment in (large, small):  # two bytes a parameter
        monkeypatch.setitem(experiments._EXPERIMENTS, experiment.id, experiment)
    words = ["run", large.id, small.id, "--profile", "full", "--publish"]
    assert course(*words)[0] == 0
    assert weights_below(folders) == {"resnet-v2/110.safetensors"}
    assert "2 of 2 recorded" in course(*words)[1]


def test_weights_of_another_configuration_are_made_anew(course, trained, folders):
    words = ["run", BN, "--profile", "full", "--publish"]
    course(*words)
    file = folders / "weights" / "squeezenet" / "bn.safetensors"
    source = checkpoints.weights_source(file)  # in a file the order of its entries is left open
    fresh = file.read_bytes()
    file.write_bytes(fresh.replace(source["config_hash"].encode(), b"0" * 64))
    assert "recorded already" not in course(*words)[1] and len(trained) == 2
    assert checkpoints.weights_source(file) == source and source.keys() == {
        "config_hash", "network", "profile"
    }  # fmt: skip
    assert "1 of 1 recorded" in course(*words)[1] and len(trained) == 2


def test_one_that_fails_does_not_keep_those_after_it_from_running(course, trained, monkeypatch):
    from course_lib.engine import training

    def train(one, *folder, **options):
        if one.experiment.id == BN:
            raise settings.CourseError("the loss is no longer a finite number")
        return whole(one, *folder, **options)

    whole = training.train
    monkeypatch.setattr(training, "train", train)
    status, _, err = course("run", BN, "squeezenet/he")
    assert status == 2 and trained == [("squeezenet/he", "quick", 0)]
    assert err.splitlines() == [
        f"course_lib: {BN}, seed 0: the loss is no longer a finite number",
        f"course_lib: failed: {BN} seed 0; what went wrong stands above",
    ]
    assert course("run", BN)[2].splitlines() == [
        "course_lib: the loss is no longer a finite number"
    ], "of one alone it is said once"


def test_record_that_does_not_hold_any_more_is_made_anew(course, trained, folders, make_record):
    file = records.write(make_record())
    file.write_text(file.read_text().replace('"momentum": 0.9', '"momentum": 0.8'))
    status, out, _ = course("run", BN)
    assert status == 0 and trained == [(BN, "quick", 0)]
    assert "another configuration" in out and "recording it anew" in out


HE = "squeezenet/he"


@pytest.fixture
def children(monkeypatch):
    """What is started in place of processes: their words by id, and how each will end."""
    words, ends = {}, {}

    def start(*given, **options):
        words.setdefault(given[1], []).append(given)
        assert options["stdout"] == subprocess.DEVNULL, "nothing that it says is read"
        return nullcontext(SimpleNamespace(wait=lambda: ends.get(given[1], 0)))

    monkeypatch.setattr(recording.children, "start", start)
    return SimpleNamespace(words=words, ends=ends)


@pytest.mark.parametrize(
    "bn, he, status",
    [(0, 0, 0), (3, 0, 3), (2, 0, 2), (2, 3, 2), (-9, 1, 2)],
    ids=["all well", "out of time", "one failed", "both", "all failed"],
)
def test_jobs_are_processes_that_answer_by_their_exit_status(
    course, children, folders, bn, he, status
):
    children.ends.update({BN: bn, HE: he})
    words = ["run", BN, HE, "--profile", "ci", "--jobs", "2", "--minutes", "5"]
    found, out, err = course(*words)
    assert set(children.words) == {BN, HE}, "one that fails does not keep the others from running"
    for (command,) in children.words.values():
        assert command[command.index("--profile") + 1] == "ci" and "--publish" not in command
        assert 4 < float(command[command.index("--minutes") + 1]) <= 5
    assert (str(folders / "runs" / HE / "ci-seed0.json") in out) == (he == 0)
    assert found == status, "a run that failed is no success, one that stopped in time no failure"
    assert len(err.splitlines()) == (status == 2)
    assert ("python -m course_lib " + " ".join(words) in out) == (status == 3)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_end_with_the_process_that_started_them(how):
    words = ["run", BN, HE, "--profile", "ci", "--jobs", "2"]
    parent = subprocess.Popen(
        [sys.executable, "-m", "course_lib", *words], cwd=settings.ROOT, stdout=subprocess.DEVNULL
    )

    def listed(*which):
        found = subprocess.run(["ps", "-o", "pid=", *which], capture_output=True, text=True)
        return found.stdout.split()

    limit = time.monotonic() + 120
    while len(begun := listed("--ppid", str(parent.pid))) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    time.sleep(1)  # they are importing Keras by now
    parent.send_signal(how)
    assert parent.wait() == -how and len(begun) == 2
    while (left := listed("-p", ",".join(begun))) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not left


@pytest.mark.parametrize("finished, status", [(True, 0), (False, 3)])
def test_a_run_that_stops_in_time_ends_with_status_3(
    course, trained, monkeypatch, finished, status
):
    from course_lib.engine import training

    whole = training.train

    def train(*args, **options):
        done = whole(*args, **options)
        return SimpleNamespace(**{**vars(done), "finished": finished})

    monkeypatch.setattr(training, "train", train)
    assert course("run", BN, "--minutes", "5")[0] == status


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--precision", "mixed_bfloat16"],
        ["--from-epoch", "1", "2", "--learning-rate", "1e-4", "1e-5"],
        ["--threads", "2"],
        ["--again"],
        ["--publish"],
    ],
    ids=lambda words: words[0] if words else "no options",
)
def test_jobs_are_given_the_options_of_the_call(course, children, monkeypatch, words):
    monkeypatch.setattr(settings, "commit", lambda: "0123456789ab")
    status, _, _ = course("run", BN, "--seeds", "0", "1", "--jobs", "2", *words)
    assert status == 0 and len(children.words[BN]) == 2
    for command in children.words[BN]:
        # What a process reads of its words is what was meant.
        read = vars(cli.parser().parse_args(command))
        meant = vars(cli.parser().parse_args(["run", BN, "--profile", "quick", *words]))
        both = [recording.restarts_of(SimpleNamespace(**args)) for args in (read, meant)]
        assert both[0] == both[1]
        told = ("seeds", "from_epoch", "learning_rate")
        assert {k: v for k, v in read.items() if k not in told} == {
            k: v for k, v in meant.items() if k not in told
        }
    assert {words[words.index("--seeds") + 1] for words in children.words[BN]} == {"0", "1"}


@pytest.mark.parametrize(
    "name, module",
    [("cifar10", cifar10), ("tiny-imagenet", tiny_imagenet), ("synthetic-tiny", synthetic_tiny)],
)
def test_prepare_asks_the_module_of_the_data_set(course, monkeypatch, tmp_path, name, module):
    monkeypatch.setattr(module, "prepare", lambda: tmp_path / "ready")
    assert course("prepare", name) == (0, f"{name} is ready in {tmp_path / 'ready'}\n", "")


def test_prepare_asks_one_source_alone(course, monkeypatch):
    monkeypatch.setattr(cifar10, "prepare", lambda source=None: f"what {source} has")
    assert course("prepare", "cifar10", "--from", "toronto")[1:] == (
        "cifar10 is ready in what toronto has\n", ""
    )  # fmt: skip
    status, _, err = course("prepare", "tiny-imagenet", "--from", "toronto")
    assert status == 2 and "--from is for cifar10" in err


@pytest.mark.parametrize("profile", settings.PROFILES.values(), ids=lambda p: p.name)
def test_a_first_guess_of_the_time_exists_for_every_experiment(profile, folders):
    for experiment in map(experiments.get, experiments.ids()):
        assert records.expected_seconds(runs.named(experiment, profile))[0] > 0


def test_the_guess_counts_the_images_of_the_first_classes_alone(folders):
    miniature = experiments.get("deepergooglenet/miniature")
    seconds, known = records.expected_seconds(runs.named(miniature, "full"))
    assert not known
    assert seconds == 3 * miniature.macs * 20 * 450 * miniature.epochs / results.GUESS["float32"]
