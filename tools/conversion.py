"""Measure the conversion of Tiny ImageNet and keep what came out: `data/conversion.json`.

    python tools/conversion.py [--rounds 3]

`prepare` converts the folder in COURSE_DATA_DIR anew in each round, into a folder of its own, and
says how long each part took. Beside it stand three ways to convert a tenth of the images, taken in
turn: one process and one image after the other through a buffer of 1,000, into float64 and into
uint8, and ours on all cores. Seconds are elapsed; `cpu` are those of all processes. Each round
reads files that the system has in its cache and waits for no disk when it has written.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from course_lib import files, processor, settings
from course_lib.datasets import hdf5, tiny_imagenet
from course_lib.datasets import tiny_imagenet_source as published

FILE = settings.ROOT / "data" / "conversion.json"


def one_by_one(source: Path, names: list[str], path: Path, dtype: str) -> None:
    """The common writer: a buffer of 1,000 images, then a slice of the data set."""
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (len(names), *tiny_imagenet.SHAPE), dtype=dtype)
        for start in range(0, len(names), 1000):
            part = names[start : start + 1000]
            read = [tiny_imagenet.decode(published.content(source, name)) for name in part]
            images[start : start + len(part)] = np.stack(read)


def on_all_cores(source: Path, names: list[str], path: Path) -> None:
    start = hdf5.create(path, (len(names), *tiny_imagenet.SHAPE))
    steps = range(0, len(names), tiny_imagenet.BLOCK)
    starts = [start + k * tiny_imagenet.IMAGE_BYTES for k in steps]
    blocks = [names[k : k + tiny_imagenet.BLOCK] for k in steps]
    with tiny_imagenet._mapping(len(names)) as mapping:
        list(mapping(partial(tiny_imagenet._write_block, source, path), blocks, starts))


WAYS = {
    "one process, float64": partial(one_by_one, dtype="float64"),
    "one process, uint8": partial(one_by_one, dtype="uint8"),
    "all cores, uint8": on_all_cores,
}


def timed(function, *arguments) -> dict:
    begin, before = time.perf_counter(), sum(os.times()[:4])
    function(*arguments)
    seconds, cpu = time.perf_counter() - begin, sum(os.times()[:4]) - before
    return {"seconds": round(seconds, 2), "cpu": round(cpu, 2)}


def whole(source: Path) -> dict:
    """Seconds of each part, as the conversion itself has noted them; `cpu` of all."""
    with tempfile.TemporaryDirectory(dir=files.writable(settings.runs_dir())) as scratch:
        Path(scratch, published.FOLDER).symlink_to(source)
        cpu = timed(tiny_imagenet.prepare, Path(scratch))["cpu"]
        parts = json.loads(Path(scratch, tiny_imagenet.PREPARED, "seconds.json").read_text())
        return {**parts, "cpu": cpu}


def sample(source: Path, names: list[str]) -> dict:
    found = {}
    with tempfile.TemporaryDirectory(dir=files.writable(settings.runs_dir())) as scratch:
        for way, convert in WAYS.items():
            path = Path(scratch, "images.hdf5")
            found[way] = timed(convert, source, names, path) | {"bytes": path.stat().st_size}
            path.unlink()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = range(parser.parse_args().rounds)
    source = settings.data_dir() / published.FOLDER
    if not source.is_dir():
        parser.error(f"there is no {source}; unpack the archive there")
    _, _, parts = published.plan(source, tiny_imagenet.TEST_PER_CLASS)
    names = [name for _, name in parts["train"]]
    for name in names:  # the first reading comes from the disk
        published.content(source, name)
    result = {
        "date": datetime.date.today().isoformat(),
        "commit": settings.commit(),
        "processor": processor.cpuinfo("model name") or "unknown",
        "cores": processor.cores(),
        "images": {part: len(images) for part, images in parts.items()},
        "whole": [whole(source) for _ in rounds],
        "sample images": len(names[::10]),
        "sample": [sample(source, names[::10]) for _ in rounds],
    }
    with files.whole_file(FILE) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")
    print(FILE.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
