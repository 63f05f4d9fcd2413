"""The command line: python -m course_lib list | show | run | prepare."""

import argparse
import json
import os
import signal
import sys

# Until `main` begins, Ctrl-C ends the process, with no traceback of the imports that follow. (Where
# it is ignored, in the background of a shell, it stays so.)
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from course_lib import datasets, experiments, records, settings
from course_lib.engine import recording
from course_lib.experiments import runs
from course_lib.settings import CourseError


class Parser(argparse.ArgumentParser):
    def error(self, message):  # one line instead of the usage
        raise CourseError(message)


def parser() -> Parser:
    top = Parser(prog="python -m course_lib", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)

    listing = commands.add_parser("list", help="every experiment: question, size, results")
    listing.add_argument("family", nargs="?", default="", help="those whose id begins so")
    listing.add_argument("--json", action="store_true", help="as a JSON array")

    show = commands.add_parser("show", help="one experiment: description and layer table")
    show.add_argument("id")
    show.add_argument("--against", metavar="ID2", help="say in words what differs")
    show.add_argument("--toml", action="store_true", help="the entry of a variant, to paste")
    show.add_argument("--evaluate", action="store_true", help="rank-1, rank-5, confusions of a run")
    show.add_argument("--profile", help="of the run to evaluate")
    show.add_argument("--seed", help="of the run to evaluate")
    by_hand(show)

    run = commands.add_parser("run", help="train, evaluate, record; resumes what was interrupted")
    run.add_argument("ids", nargs="+", metavar="ID")
    run.add_argument("--profile", help="quick (default), ci, tenth or full")
    run.add_argument("--seeds", nargs="+", metavar="N", help="default: COURSE_SEED, else 0")
    run.add_argument("--jobs", default="1", metavar="N", help="runs side by side (default 1)")
    run.add_argument("--minutes", metavar="M", help="stop in time, with a checkpoint")
    run.add_argument("--publish", action="store_true", help="write to data/records, data/weights")
    run.add_argument("--again", action="store_true", help="run what others have published, too")
    by_hand(run)
    run.add_argument("--precision", help="float32, mixed_bfloat16 or mixed_float16")
    run.add_argument("--threads", default="1", metavar="N", help="of one operation (default 1); "
                     "their number changes the digits of a result")  # fmt: skip

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
        "parameters": experiment.parameters._asdict(),
        "macs": experiment.macs,
        "reported": reported.text if reported else None,
        "source": reported.source if reported else None,
        "records": [
            {"profile": p, "seeds": [r["seed"] for r in found], "final": records.percent(found)}
            for p in settings.RECORDED
            if (found := records.load(experiment, p))
        ],
    }


def list_(args) -> None:
    chosen = [id for id in experiments.ids() if id.startswith(args.family)]
    if not chosen:
        families = dict.fromkeys(id.split("/")[0] for id in experiments.ids())
        raise CourseError(f"no family {args.family!r}; there are {', '.join(families)}")
    rows = [describe(experiments.get(id)) for id in chosen]
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


def variant(experiment) -> str:
    """The entry of an experiment that has this one as its parent, as TOML to paste."""
    protocol = experiment.configuration()
    arguments = protocol.pop("arguments")
    del protocol["builder"]
    p, macs = experiment.parameters, experiment.macs
    return "\n".join(
        [
            f'["{experiment.id}-…"]',
            f'parent = "{experiment.id}"',
            'question = "…?"',
            "# Of the following keep what the variant changes, without the #, and nothing else.",
            f"# arguments = {toml(arguments)}",
            *(f"# {key} = {toml(value)}" for key, value in protocol.items()),
            "# The counts of another network: `show` says what they are.",
            f"# parameters = [{p.total:_}, {p.trainable:_}, {p.non_trainable:_}]",
            f"# macs = {macs:_}",
            'note = "A control of ours."',
        ]
    )


def toml(value) -> str:
    """A value of a configuration in TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def show(args) -> None:
    experiment = experiments.get(args.id)
    if args.toml:
        print(variant(experiment))
        return
    if args.against:
        print(experiment.diff(experiments.get(args.against)))
        return
    if args.evaluate:
        seed = settings.seed_from(args.seed, "--seed") if args.seed else settings.seed()
        restarts = recording.restarts_of(args)
        from course_lib.measure import evaluation

        run = runs.named(experiment, args.profile, seed, restarts=restarts)
        print(evaluation.report(experiment, *evaluation.saved(run)))
        return
    from course_lib.measure import counting

    model = experiment.build()  # needs Keras: nothing is said before that works
    print(f"{experiment.id}: {experiment.question}")
    if experiment.note:
        print(experiment.note)
    if experiment.parent:
        print(experiment.diff())
    for key, value in experiment.configuration().items():
        print(f"  {key}: {value}")
    print(f"\n{'layer':22}{'kind':24}{'shape':>16}{'parameters':>12}{'MACs':>14}")
    rows = counting.rows(model)
    for row in rows:
        shape = "x".join(map(str, row.shape))
        print(f"{row.name:22}{row.kind:24}{shape:>16}{row.parameters:>12,}{row.macs:>14,}")
    total, macs = sum(row.parameters for row in rows), sum(row.macs for row in rows)
    print(f"{'total':62}{total:>12,}{macs:>14,}")
    if (counts := counting.parameters(model), macs) != (experiment.parameters, experiment.macs):
        print(f"its entry counts otherwise: parameters = {list(counts)}, macs = {macs}")


def prepare(args) -> None:
    if folder := datasets.prepare(args.dataset, args.source):
        print(f"{args.dataset} is ready in {folder}")
    else:
        print(f"the data set {args.dataset} is drawn by code: there is nothing to prepare")


STOPPED = {
    "run": "the same command goes on from the last completed epoch",
    "prepare": "nothing half-made stays, and the same command goes on",
}


def main() -> int:
    usable_streams()
    command = ""
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        args = parser().parse_args()
        command = args.command
        do = {"list": list_, "show": show, "run": recording.run, "prepare": prepare}[command]
        status = do(args) or 0
        sys.stdout.flush()
        return status
    except CourseError as error:
        print("course_lib:", *str(error).split(), file=sys.stderr)  # one line, whatever it quotes
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; {STOPPED.get(command, 'nothing was changed')}", file=sys.stderr)
        return 130
    except OSError as error:  # where the output goes
        # Python would flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `... list | head`
            print(f"course_lib: cannot write: {error.strerror}", file=sys.stderr)
            return 2
    return 0


def usable_streams() -> None:
    """Output and errors somewhere, where there is none; `?` for what their coding cannot say."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
