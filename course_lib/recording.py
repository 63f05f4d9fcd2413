"""The command `run`: which runs are missing, one after the other or side by side, published."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from course_lib import experiments, processor, records, settings
from course_lib.settings import CourseError

MOST_WEIGHTS = 8e6  # bytes of a published file of weights
COMMIT = re.compile("[0-9a-f]{7,40}")  # not "unknown", and not "-dirty"
TO_GO_ON = 3  # exit status of a run that stopped in time and has a checkpoint


def run(args) -> int:
    for id in args.ids:
        experiments.get(id)  # before anything else is said or done
    profile = settings.profile(args.profile)
    seeds = [settings.seed_from(s, "--seeds") for s in args.seeds or [settings.seed()]]
    jobs = settings.whole_number(args.jobs, "--jobs", least=1)
    processor.use_threads(settings.whole_number(args.threads, "--threads", least=1))
    minutes = settings.positive(args.minutes, "--minutes") if args.minutes is not None else None
    restarts = restarts_of(args)
    if args.publish and (profile.name == "ci" or restarts or args.again):
        raise CourseError("what is drawn, restarted by hand or run --again is not published")
    if args.publish and not COMMIT.fullmatch(settings.commit()):
        raise CourseError(
            f"the code is that of no commit ({settings.commit()}), so that nobody could run it "
            "again: commit course_lib first, or leave out --publish"
        )
    runs = [(id, seed) for seed in seeds for id in args.ids]  # one seed of each first
    runs = [(experiments.get(id), seed) for id, seed in dict.fromkeys(runs)]
    todo = [r for r in runs if not recorded(*r, profile, args, restarts)]
    if len(runs) > len(todo):
        print(f"{len(runs) - len(todo)} of {len(runs)} recorded already")
    if not todo:
        return 0
    from course_lib.progress import duration

    seconds, known = zip(*(records.expected_seconds(e, profile) for e, _ in todo), strict=True)
    source = "on the machine of earlier records" if all(known) else "at a first guess"
    print(f"{len(todo)} to run, about {duration(sum(seconds) / jobs)} {source}")
    if "bfloat16" in (args.precision or profile.precisions[0]) and not processor.has_bfloat16():
        how = "slower than in float32" if args.precision else "in float32 instead"
        print(f"this processor has no unit for bfloat16: it computes {how}, an accelerator aside")
    settings.writable(settings.runs_dir())
    deadline = time.monotonic() + 60 * minutes if minutes else None

    def attempt(job) -> bool | None:
        """Is it finished? None if it failed: those after it are run all the same."""
        minutes = (deadline - time.monotonic()) / 60 if deadline else None
        if deadline and minutes <= 0:
            return False
        try:
            return (one if jobs == 1 else in_a_process)(*job, profile, minutes, args, restarts)
        except CourseError as error:
            if len(todo) == 1:
                raise
            print(f"course_lib: {job[0].id}, seed {job[1]}: {error}", file=sys.stderr)

    if jobs == 1:
        results = list(map(attempt, todo))
    else:
        with ThreadPoolExecutor(jobs) as pool:
            results = list(pool.map(attempt, todo))
    if None in results:
        failed = [f"{e.id} seed {s}" for (e, s), r in zip(todo, results, strict=True) if r is None]
        raise CourseError(f"failed: {', '.join(failed)}; what went wrong stands above")
    if not all(results):
        again = "python -m course_lib run " + " ".join(sys.argv[2:])
        print(f"{results.count(False)} not finished; to go on, run again:\n  {again}")
        return TO_GO_ON
    return 0


def restarts_of(args) -> tuple[tuple[int, float], ...]:
    """(epoch, learning rate) of each restart by hand, from the words of the call."""
    epochs, rates = args.from_epoch or [], args.learning_rate or []
    epochs = [settings.whole_number(e, "--from-epoch", least=1) for e in epochs]
    rates = [settings.positive(r, "--learning-rate") for r in rates]
    if len(epochs) != len(rates) or epochs != sorted(set(epochs)):
        raise CourseError("--from-epoch and --learning-rate go together, in the order of epochs")
    return tuple(zip(epochs, rates, strict=True))


def recorded(experiment, seed, profile, args, restarts=()) -> bool:
    """Is that run recorded? With --publish, a finished local record is published on the way; with
    --again, only your own record counts."""
    publish = args.publish
    if publish and has_weights(experiment, profile, seed, args.precision):
        from course_lib import checkpoints

        wanted = records.digest(records.configuration(experiment, profile))
        file = settings.weights_of(experiment.id)
        if checkpoints.weights_source(file).get("config_hash") != wanted:
            return False  # where the run's checkpoint is there, nothing is trained again
    place = experiment.id, profile.name, seed
    published = records.path(*place, None, restarts, args.precision)
    local = records.path(*place, settings.runs_dir(), restarts, args.precision)
    for file in (local,) if args.again else (published, local):
        try:
            record = records.read(file)
            base = settings.runs_dir() if file == local else settings.RECORDS_DIR
            if (own := records.path_of(record, base)) != file:
                raise CourseError(f"{file} holds the record of another run, {own}")
        except CourseError as error:
            if file.exists():
                print(f"{error}: recording it anew")
            continue
        if file == local and publish:
            publish_record(record)
        elif file == local:
            print(file)
        return True
    return False


def publish_record(record: dict) -> None:
    """Write a record among the published ones, if anybody could run it again."""
    from course_lib import graph

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


def has_weights(experiment, profile, seed: int, precision=None) -> bool:
    """Does such a run, when it is published, carry its weights? A full one takes the place of a
    tenth; none in a precision that is not the profile's does."""
    if precision not in (None, *profile.precisions):
        return False
    if not experiment.weights or seed != 0 or 2 * experiment.parameters.total > MOST_WEIGHTS:
        return False
    full = records.path(experiment.id, "full", 0).exists()
    return profile.name == "full" or (profile.name == "tenth" and not full)


def one(experiment, seed, profile, minutes, args, restarts) -> bool:
    """Run and record one experiment; False if time ran out before it was finished."""
    from course_lib import checkpoints, training

    folder = settings.runs_dir()
    result = training.run(
        experiment,
        profile=profile.name,
        seed=seed,
        folder=folder,
        minutes=minutes,
        restarts=restarts,
        precision=args.precision,
    )
    if result.finished:
        if args.publish:
            publish_record(result.record)
            if has_weights(experiment, profile, seed, args.precision):
                source = {k: result.record[k] for k in ("config_hash", "network", "profile")}
                file = settings.weights_of(experiment.id)
                print(checkpoints.save_weights(result.model, file, source))
        else:
            print(records.path_of(result.record, folder))
    elif not result.history["loss"]:
        print(f"{experiment.id}: not even one epoch was completed in that time; allow more minutes")
    return result.finished


def in_a_process(experiment, seed, profile, minutes, args, restarts) -> bool | None:
    """The same in a process of its own, so that several run side by side; None if it failed."""
    command = [sys.executable, "-m", "course_lib", "run", experiment.id, "--seeds", str(seed)]
    command += ["--profile", profile.name] + (["--publish"] if args.publish else [])
    command += ["--minutes", f"{max(minutes, 0.01):.2f}"] if minutes else []
    command += ["--precision", args.precision] if args.precision else []
    command += ["--again"] if args.again else []
    if restarts:
        epochs, rates = zip(*restarts, strict=True)
        command += ["--from-epoch", *map(str, epochs), "--learning-rate", *map(str, rates)]
    command += ["--threads", args.threads]
    environment = {**os.environ}
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # they share one card, too
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    print(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "", flush=True)
    return {0: True, TO_GO_ON: False}.get(done.returncode)
