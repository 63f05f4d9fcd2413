"""Records of schema 1 become records of schema 2, once it is proved that they still hold.

    python tools/migrate_records.py

For every commit that records name, the networks of these records are built by the code of that
commit, in a git worktree, and their layer graphs compared with those that are built today
(course_lib/graph.py, in float32, as all these runs were). Every value of an old configuration must
stand in the new one. Only then is a record rewritten. What schema 1 did not ask (threads, order and
content of the data, instruction sets, loss without penalty) says "unknown".
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from course_lib import experiments, records, settings

GRAPHS = """
import importlib.util, json, sys, types
from course_lib import experiments
spec = importlib.util.spec_from_file_location("graph", sys.argv[1])
graph = importlib.util.module_from_spec(spec)
spec.loader.exec_module(graph)
ids = sys.argv[2:]
print(json.dumps({id: graph.normal_form(experiments.get(id).build()) for id in ids}))
"""


def graphs(checkout: Path, ids: list[str]) -> dict:
    """id -> normal form of the network that the code in `checkout` builds."""
    form = settings.ROOT / "course_lib" / "graph.py"
    command = [sys.executable, "-c", GRAPHS, str(form), *ids]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def graphs_at(commit: str, ids: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(settings.ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
        try:
            return graphs(Path(folder), ids)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True)


def migrated(record: dict, network: str) -> dict:
    """The record in schema 2, in the order in which new ones are written."""
    old, unknown = record["config"], records.UNKNOWN
    config = records.configuration(
        experiments.get(record["experiment"]), settings.profile(record["profile"])
    )
    changed = [k for k in old if k != "arguments" and old[k] != config.get(k)]
    given = {k: v for k, v in old["arguments"].items() if v != config["arguments"].get(k)}
    if record["config_hash"] != records.digest(old) or changed or given:
        raise SystemExit(f"{record['experiment']}: its configuration has changed: {changed, given}")
    curves = record["history"]
    history = {curve: curves.get(curve, unknown) for curve in records.CURVES}
    if "validation_loss" in curves:
        history |= {curve: curves.get(curve, unknown) for curve in records.VALIDATION}
    new = {
        "schema": records.SCHEMA,
        "migrated": "from schema 1",
        "config": config,
        "config_hash": records.digest(config),
        "network": network,
        "data": {"content": unknown, "order": unknown, **record["data"]},
        "precision": record.get("precision", "float32"),
        "threads": unknown,
        "hardware": {"instructions": unknown, **record["hardware"]},
        "history": history,
    }
    return {k: new.get(k, record.get(k)) for k in dict.fromkeys((*record, *new))}


def main() -> None:
    files = sorted(settings.RECORDS_DIR.rglob("*.json"))
    found = {f: json.loads(f.read_text(encoding="utf-8")) for f in files}
    found = {f: r for f, r in found.items() if r["schema"] == 1}
    used = defaultdict(set)
    for record in found.values():
        used[record["commit"]].add(record["experiment"])
    ids = sorted(set().union(*used.values()))
    today = graphs(settings.ROOT, ids)
    for commit, those in used.items():
        then = graphs_at(commit, sorted(those))
        for id in those:
            if then[id] != today[id]:
                raise SystemExit(f"{id} is another network than at {commit}: nothing was changed")
        print(f"{commit}: {len(those)} networks are those of today")
    from course_lib import graph

    networks = {id: graph.of(experiments.get(id)) for id in ids}
    for file, record in found.items():
        record = migrated(record, networks[record["experiment"]])
        assert records.write(record) == file
    print(f"{len(found)} records are of schema {records.SCHEMA} now")


if __name__ == "__main__":
    main()
