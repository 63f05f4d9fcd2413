"""The command line: python -m course_lib list | show | run | prepare."""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from course_lib import datasets, experiments, records, settings
from course_lib.settings import CourseError

MOST_WEIGHTS = 8e6  # bytes of a published file of weights


class Parser(argparse.ArgumentParser):
    def error(self, message):  # one line instead of the usage
        raise CourseError(message)


def parser() -> Parser:
    top = Parser(prog="python -m course_lib", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)

    listing = commands.add_parser("list", help="every experiment: question, size, results")
    listing.add_argument("--json", action="store_true", help="as a JSON array")

    show = commands.add_parser("show", help="one experiment: description and layer table")
    show.add_argument("id")
    show.add_argument("--against", metavar="ID2", help="say in words what differs")
    show.add_argument("--evaluate", action="store_true", help="rank-1, rank-5, confusions of a run")
    show.add_argument("--profile", help="of the run to evaluate")
    show.add_argument("--seed", help="of the run to evaluate")
    by_hand(show)

    run = commands.add_parser("run", help="train, evaluate, record; resumes what was interrupted")
    run.add_argument("ids", nargs="+", metavar="ID")
    run.add_argument("--profile", help="quick (default), ci or full")
    run.add_argument("--seeds", nargs="+", metavar="N", help="default: COURSE_SEED, else 0")
    run.add_argument("--jobs", default="1", metavar="N", help="runs side by side (default 1)")
    run.add_argument("--minutes", metavar="M", help="stop in time, with a checkpoint")
    run.add_argument("--publish", action="store_true", help="write to data/records, data/weights")
    run.add_argument("--again", action="store_true", help="run what others have published, too")
    by_hand(run)
    run.add_argument("--precision", default="float32", help="or mixed_bfloat16, mixed_float16")

    prepare = commands.add_parser(
        "prepare",
        help="find or download a data set, and check it",
        epilog=datasets.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prepare.add_argument("dataset", help=", ".join(datasets.NAMES))
    prepare.add_argument("--from", dest="source", metavar="SOURCE", help="ask this one alone")
    return top


def by_hand(command) -> None:
    """The options of a run that was started again by hand."""
    command.add_argument("--from-epoch", nargs="+", metavar="E", help="restart after that epoch …")
    command.add_argument("--learning-rate", nargs="+", metavar="R", help="… at this rate")


def describe(experiment) -> dict:
    """An experiment as plain values: what `list --json` prints of it."""
    reported = experiment.reported
    return {
        "id": experiment.id,
        "question": experiment.question,
        "parameters": asdict(experiment.parameters),
        "macs": experiment.macs,
        "reported": reported.text if reported else None,
        "source": reported.source if reported else None,
        "records": [
            {"profile": p, "seeds": [r["seed"] for r in found], "final": records.percent(found)}
            for p in ("full", "quick")
            if (found := records.load(experiment, p))
        ],
    }


def list_(args) -> None:
    rows = [describe(experiments.get(id)) for id in experiments.ids()]
    if args.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        counts = row["parameters"]
        print(f"{row['id']}: {row['question']}")
        print(
            f"    {counts['total']:,} parameters ({counts['trainable']:,} trainable, "
            f"{counts['non_trainable']:,} not), {row['macs'] / 1e6:.1f} MMAC"
        )
        reported = f"{row['reported']} ({row['source']})" if row["reported"] else "our own control"
        print(f"    reported: {reported}")
        for found in row["records"]:
            seeds = ", ".join(map(str, found["seeds"]))
            accuracy = records.spread(found["final"])
            print(f"    recorded, {found['profile']}: {accuracy} % (seeds {seeds})")
        if not row["records"]:
            print("    not recorded yet")


def show(args) -> None:
    experiment = experiments.get(args.id)
    if args.against:
        print(experiment.diff(experiments.get(args.against)))
        return
    if args.evaluate:
        profile = settings.profile(args.profile).name
        seed = settings.seed_from(args.seed, "--seed") if args.seed else settings.seed()
        from course_lib import evaluation

        run = evaluation.saved(experiment, profile, seed, restarts_of(args))
        print(evaluation.report(experiment, *run))
        return
    from course_lib import counting  # the layer table needs Keras, from here on

    print(f"{experiment.id}: {experiment.question}")
    if experiment.note:
        print(experiment.note)
    if experiment.parent:
        print(experiment.diff())
    for key, value in experiment.configuration().items():
        print(f"  {key}: {value}")
    print(f"\n{'layer':22}{'kind':24}{'shape':>16}{'parameters':>12}{'MACs':>14}")
    for row in counting.rows(experiment.build()):
        shape = "x".join(map(str, row.shape))
        print(f"{row.name:22}{row.kind:24}{shape:>16}{row.parameters:>12,}{row.macs:>14,}")
    counts = experiment.parameters
    print(f"{'total':62}{counts.total:>12,}{experiment.macs:>14,}")


def run(args) -> None:
    for id in args.ids:
        experiments.get(id)  # before anything else is said or done
    profile = settings.profile(args.profile)
    seeds = [settings.seed_from(s, "--seeds") for s in args.seeds or [settings.seed()]]
    jobs = settings.whole_number(args.jobs, "--jobs", least=1)
    minutes = settings.positive(args.minutes, "--minutes") if args.minutes is not None else None
    restarts = restarts_of(args)
    if args.publish and (profile.name == "ci" or restarts or args.again):
        raise CourseError("what is drawn, restarted by hand or run --again is not published")
    runs = [(id, seed) for seed in seeds for id in args.ids]  # one seed of each first
    runs = [(experiments.get(id), seed) for id, seed in dict.fromkeys(runs)]
    todo = [r for r in runs if not recorded(*r, profile, args, restarts)]
    if len(runs) > len(todo):
        print(f"{len(runs) - len(todo)} of {len(runs)} recorded already")
    if not todo:
        return
    from course_lib.progress import duration

    seconds, known = zip(*(records.expected_seconds(e, profile) for e, _ in todo), strict=True)
    source = "on the machine of earlier records" if all(known) else "at a first guess"
    print(f"{len(todo)} to run, about {duration(sum(seconds) / jobs)} {source}")
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
    if publish and has_weights(experiment, profile, seed, args):
        from course_lib import checkpoints

        wanted = records.digest(records.configuration(experiment, profile))
        if checkpoints.weights_hash(settings.weights_of(experiment.id)) != wanted:
            return False  # where the run's checkpoint is there, nothing is trained again
    place = experiment.id, profile.name, seed
    published = records.path(*place, None, restarts, args.precision)
    local = records.path(*place, settings.runs_dir(), restarts, args.precision)
    for file in (local,) if args.again else (published, local):
        try:
            record = records.read(file)
        except CourseError as error:
            if file.exists():
                print(f"{error}: recording it anew")
            continue
        if file == local and publish:
            print(records.write(record))
        elif file == local:
            print(file)
        return True
    return False


def has_weights(experiment, profile, seed: int, args) -> bool:
    """Does such a run, when it is published, carry its weights?"""
    small = 2 * experiment.parameters.total <= MOST_WEIGHTS
    return profile.name == "full" and seed == 0 and args.precision == "float32" and small


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
            print(records.write(result.record))
            if has_weights(experiment, profile, seed, args):
                file = settings.weights_of(experiment.id)
                print(checkpoints.save_weights(result.model, file, result.record["config_hash"]))
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
    command += ["--precision", args.precision] + (["--again"] if args.again else [])
    if restarts:
        epochs, rates = zip(*restarts, strict=True)
        command += ["--from-epoch", *map(str, epochs), "--learning-rate", *map(str, rates)]
    # Processes that share the cores are fastest with their share of threads each.
    threads = str(max(1, (os.cpu_count() or 1) // int(args.jobs)))
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads}
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # they share one card, too
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    print(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "", flush=True)
    return "to go on, run again" not in done.stdout if done.returncode == 0 else None


def prepare(args) -> None:
    if folder := datasets.prepare(args.dataset, args.source):
        print(f"{args.dataset} is ready in {folder}")
    else:
        print(f"the data set {args.dataset} is drawn by code: there is nothing to prepare")


def main() -> int:
    try:
        args = parser().parse_args()
        {"list": list_, "show": show, "run": run, "prepare": prepare}[args.command](args)
    except CourseError as error:
        print("course_lib:", *str(error).split(), file=sys.stderr)  # one line, whatever it quotes
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last completed epoch", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `... list | head`
        sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
