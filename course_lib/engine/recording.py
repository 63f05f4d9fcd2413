"""The command `run`: which runs are missing, one after the other or side by side, published."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from course_lib import experiments, files, processor, records, settings
from course_lib.engine import children
from course_lib.experiments import runs
from course_lib.settings import CourseError

MOST_WEIGHTS = 8e6  # bytes of a published file of weights
COMMIT = re.compile("[0-9a-f]{7,40}")  # not "unknown", and not "-dirty"
TO_GO_ON = 3  # exit status of a run that stopped in time and has a checkpoint


def run(args) -> int:
    for id in args.ids:
        experiments.get(id)  # before anything else is said or done
    profile = settings.profile(args.profile)
    jobs = settings.whole_number(args.jobs, "--jobs", least=1)
    processor.use_threads(settings.whole_number(args.threads, "--threads", least=1))
    minutes = settings.positive(args.minutes, "--minutes") if args.minutes is not None else None
    if args.publish and (profile.name == "ci" or args.from_epoch or args.again):
        raise CourseError("what is drawn, restarted by hand or run --again is not published")
    wanted = asked(args, profile)
    if args.publish and not COMMIT.fullmatch(settings.commit()):
        raise CourseError(
            f"the code is that of no commit ({settings.commit()}), so that nobody could run it "
            "again: commit course_lib first, or leave out --publish"
        )
    if args.publish:
        publish_what_is_there(wanted)
    todo = [one for one in wanted if not settled(one, args.publish, args.again)]
    if len(wanted) > len(todo):
        print(f"{len(wanted) - len(todo)} of {len(wanted)} recorded already")
    if not todo:
        return 0
    announce(todo, jobs, args.precision)
    files.writable(settings.runs_dir())
    deadline = time.monotonic() + 60 * minutes if minutes else None

    def attempt(one) -> int:
        """Its exit status; those after it are run all the same when it fails."""
        minutes = (deadline - time.monotonic()) / 60 if deadline else None
        if deadline and minutes <= 0:
            return TO_GO_ON
        if jobs > 1:
            return in_a_process(one, minutes, args)
        try:
            return train(one, minutes, args.publish)
        except CourseError as error:
            if len(todo) == 1:
                raise
            print(f"course_lib: {one.experiment.id}, seed {one.seed}: {error}", file=sys.stderr)
            return 2

    if jobs == 1:
        ended = list(map(attempt, todo))
    else:
        with ThreadPoolExecutor(jobs) as pool:
            ended = list(pool.map(attempt, todo))
    failed = [one for one, status in zip(todo, ended, strict=True) if status not in (0, TO_GO_ON)]
    if failed:
        names = ", ".join(f"{one.experiment.id} seed {one.seed}" for one in failed)
        raise CourseError(f"failed: {names}; what went wrong stands above")
    if TO_GO_ON in ended:
        again = "python -m course_lib run " + " ".join(sys.argv[2:])
        print(f"{ended.count(TO_GO_ON)} not finished; to go on, run again:\n  {again}")
        return TO_GO_ON
    return 0


def asked(args, profile) -> list[runs.Run]:
    """The runs that the words of the call name, each once, one seed of each experiment first."""
    seeds = [settings.seed_from(s, "--seeds") for s in args.seeds or [settings.seed()]]
    options = {"precision": args.precision, "restarts": restarts_of(args)}
    wanted = [runs.named(e, profile, seed, **options) for seed in seeds for e in args.ids]
    return list({one.file(): one for one in wanted}.values())


def restarts_of(args) -> tuple[tuple[int, float], ...]:
    """(epoch, learning rate) of each restart by hand, from the words of the call."""
    epochs, rates = args.from_epoch or [], args.learning_rate or []
    epochs = [settings.whole_number(e, "--from-epoch", least=1) for e in epochs]
    rates = [settings.positive(r, "--learning-rate") for r in rates]
    if len(epochs) != len(rates) or epochs != sorted(set(epochs)):
        raise CourseError("--from-epoch and --learning-rate go together, in the order of epochs")
    return tuple(zip(epochs, rates, strict=True))


def announce(todo: list[runs.Run], jobs: int, precision: str | None) -> None:
    """How long that will take, and what is odd about it."""
    from course_lib.engine.progress import duration

    profile = todo[0].profile
    seconds, known = zip(*map(records.expected_seconds, todo), strict=True)
    source = "on the machine of earlier records" if all(known) else "at a first guess"
    print(f"{len(todo)} to run, about {duration(sum(seconds) / jobs)} {source}")
    if "bfloat16" in (precision or profile.precisions[0]) and not processor.has_bfloat16():
        how = "slower than in float32" if precision else "in float32 instead"
        print(f"this processor has no unit for bfloat16: it computes {how}, an accelerator aside")


def settled(one: runs.Run, publish: bool, again: bool = False) -> bool:
    """Is nothing left to run? With `publish` the published record counts alone, and its weights;
    with `again` your own, which is named."""
    if publish:
        # Where the checkpoint of a run that lacks its weights is there, nothing is trained again.
        return not lacks_weights(one) and recorded(one) is not None
    if not again and recorded(one):
        return True
    local = recorded(one, settings.runs_dir())
    if local:
        print(one.file(settings.runs_dir()))
    return local is not None


def publish_what_is_there(wanted: list[runs.Run]) -> None:
    """Publish the local records of runs that are not published and lack no weights."""
    for one in wanted:
        if one.file().exists() or lacks_weights(one):
            continue
        if local := recorded(one, settings.runs_dir()):
            publish_record(local)


def recorded(one: runs.Run, folder=None) -> dict | None:
    """Its whole record below `folder`, by default among the published ones."""
    file = one.file(folder)
    try:
        record = records.read(file)
        if (own := runs.of(record).file(folder)) != file:
            raise CourseError(f"{file} holds the record of another run, {own}")
    except CourseError as error:
        if file.exists():
            print(f"{error}: recording it anew")
        return None
    return record


def lacks_weights(one: runs.Run) -> bool:
    """Are its weights to be published, and are not?"""
    if not has_weights(one):
        return False
    from course_lib.engine import checkpoints

    source = checkpoints.weights_source(settings.weights_of(one.experiment.id))
    return source.get("config_hash") != runs.digest(one.configuration())


def has_weights(one: runs.Run) -> bool:
    """Does such a run, when it is published, carry its weights? A full one takes the place of a
    tenth; none in a precision that is not the profile's does."""
    experiment = one.experiment
    if one.precision not in (None, *one.profile.precisions):
        return False
    if not experiment.weights or one.seed or 2 * experiment.parameters.total > MOST_WEIGHTS:
        return False
    full = runs.named(experiment, "full", 0).file().exists()
    return one.profile.name == "full" or (one.profile.name == "tenth" and not full)


def publish_record(record: dict) -> None:
    """Write a record among the published ones, if anybody could run it again."""
    from course_lib.models import graph

    run = f"the record of {record['experiment']}, seed {record['seed']},"
    if not COMMIT.fullmatch(record["commit"]):
        raise CourseError(
            f"{run} was made by code of no commit ({record['commit']}), so that nobody could run "
            "it again: commit course_lib, delete the record and run it again"
        )
    if record["network"] != graph.of(experiments.get(record["experiment"])):
        raise CourseError(
            f"{run} is of another network than the code of today builds: delete the record and "
            "run it again"
        )
    print(records.write(record))


def train(one: runs.Run, minutes: float | None, publish: bool) -> int:
    """Run and record one experiment; its exit status."""
    from course_lib.engine import checkpoints, training

    folder = settings.runs_dir()
    trained = training.train(one, folder, minutes=minutes)
    if not trained.finished:
        if not trained.epochs:
            what = "not even one epoch was completed in that time; allow more"
            print(f"{one.experiment.id}: {what}", file=sys.stderr)  # a child's output is not read
        return TO_GO_ON
    if not publish:
        print(trained.run.file(folder))
        return 0
    publish_record(trained.record)
    if has_weights(one):
        source = {k: trained.record[k] for k in ("config_hash", "network", "profile")}
        file = settings.weights_of(one.experiment.id)
        print(checkpoints.save_weights(trained.model, file, source))
    return 0


def in_a_process(one: runs.Run, minutes: float | None, args) -> int:
    """The same in a process of its own, so that several run side by side."""
    words = ["run", one.experiment.id, "--seeds", str(one.seed), "--profile", one.profile.name]
    words += ["--publish"] if args.publish else []
    words += ["--minutes", f"{max(minutes, 0.01):.2f}"] if minutes else []
    words += ["--precision", args.precision] if args.precision else []
    words += ["--again"] if args.again else []
    if one.restarts:
        epochs, rates = zip(*one.restarts, strict=True)
        words += ["--from-epoch", *map(str, epochs), "--learning-rate", *map(str, rates)]
    words += ["--threads", args.threads]
    environment = {**os.environ}
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # they share one card, too
    # Its exit status says how it ended, and that is all that is asked of it.
    with children.start(*words, stdout=subprocess.DEVNULL, env=environment) as process:
        status = process.wait()
    if status == 0:
        print(one.file(None if args.publish else settings.runs_dir()), flush=True)
    return status
