"""Images per second: JPEGs to HDF5, and shuffled batches from it.

    python tests/benchmarks/bench_hdf5.py

Conversion is held against the way of the article's scripts: one image after the other (by OpenCV,
or by Pillow where that is not installed) into a data set of float64, through a buffer of 1,000.
Real images are used where COURSE_DATA_DIR has them, else drawn ones. Both read the same files,
which the system has in its cache.

Shuffled batches of 64 are read from an array, through our reader, and by h5py's own selection of
sorted rows; once with the file in the system's cache, and once with the cache emptied before each
batch, as when the file is far larger than memory. Rounds alternate; a figure is the median of its
rounds in elapsed time, so the machine should have nothing else to do.
"""

import mmap
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import h5py
import numpy as np
from PIL import Image

from course_lib import files, settings
from course_lib.datasets import hdf5, synthetic_tiny, tiny_imagenet, tiny_imagenet_source

try:
    import cv2
except ImportError:
    cv2 = None

SAMPLE = 10_000  # images to convert
ROUNDS, BATCH, BATCHES = 5, 64, 100


def jpegs(scratch: Path):
    """A folder in the official layout and SAMPLE of its files."""
    source = settings.data_dir() / tiny_imagenet_source.FOLDER
    if not source.is_dir():
        source = scratch / tiny_imagenet_source.FOLDER
        synthetic_tiny.draw(source)
    names = sorted(p.relative_to(source).as_posix() for p in source.glob("*/**/*.JPEG"))
    names = names[:: max(1, len(names) // SAMPLE)]
    return source, (names * -(-SAMPLE // len(names)))[:SAMPLE]


def article_read(file: Path) -> np.ndarray:
    if cv2:
        return cv2.imread(str(file))
    return np.asarray(Image.open(file).convert("RGB"))


def article(source: Path, names: list[str], path: Path) -> None:
    """One by one, through a buffer of 1,000, into float64."""
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (len(names), 64, 64, 3), dtype="float")
        buffer, start = [], 0
        for name in names:
            buffer.append(article_read(source / name))
            if len(buffer) == 1000 or start + len(buffer) == len(names):
                images[start : start + len(buffer)] = buffer
                start += len(buffer)
                buffer = []


def ours(mapping, source: Path, names: list[str], path: Path) -> None:
    """On all cores, into uint8. Neither way waits until all is on the disk."""
    start = hdf5.create(path, (len(names), *tiny_imagenet.SHAPE))
    steps = range(0, len(names), tiny_imagenet.BLOCK)
    blocks = [names[k : k + tiny_imagenet.BLOCK] for k in steps]
    write = partial(tiny_imagenet._write_block, source, path)
    list(mapping(write, blocks, [start + k * tiny_imagenet.IMAGE_BYTES for k in steps]))


def seconds(function, *arguments) -> float:
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def line(name, base, fast, wanted):
    ratio = statistics.median(fast) / statistics.median(base)
    short = "" if ratio >= wanted else "  short of it"
    print(
        f"{name:52}{statistics.median(base):11,.0f}{statistics.median(fast):11,.0f}"
        f"{ratio:8.2f}  wanted {wanted:g}{short}"
    )


def conversion(scratch: Path) -> None:
    source, names = jpegs(scratch)
    old, new = scratch / "float64.hdf5", scratch / "uint8.hdf5"
    rates, sizes = {"article": [], "ours": []}, {}
    with tiny_imagenet._mapping(SAMPLE) as mapping:
        for number in range(ROUNDS + 1):  # the first fills the cache and starts the processes
            times = []
            for way, path in ((article, old), (partial(ours, mapping), new)):
                times.append(seconds(way, source, names, path))
                sizes[path] = path.stat().st_size
                if path == old or number < ROUNDS:
                    path.unlink()  # before the system writes it, which would slow down the next
            if number:
                for key, spent in zip(rates, times, strict=True):
                    rates[key].append(SAMPLE / spent)
    way = "OpenCV" if cv2 else "Pillow"
    line(f"converting, {way} to float64 | ours", *rates.values(), 3)
    line("MB of uint8 | of float64", [sizes[new] / 1e6], [sizes[old] / 1e6], 7.9)
    hdf5.finish(new, np.zeros(SAMPLE), names, {})


def reading(path: Path) -> None:
    loaded, *_ = hdf5.read(path, "", in_memory=True)
    reader, *_ = hdf5.read(path, "")
    array = loaded.copy()
    with h5py.File(path) as file:
        ways = {
            "array": array.__getitem__,
            "loaded": loaded.__getitem__,
            "reader": reader.__getitem__,
            "h5py": lambda chosen: file["images"][np.sort(chosen)],
        }
        cached = rates_of(ways, len(array), lambda: None)
        line("reading, array | loaded by read_direct", cached["array"], cached["loaded"], 0.9)
        line("reading, array | reader, cached", cached["array"], cached["reader"], 0)
        line("reading, h5py | reader, cached", cached["h5py"], cached["reader"], 5)
        if hasattr(os, "posix_fadvise"):
            ways = {name: ways[name] for name in ("h5py", "reader")}
            empty = rates_of(ways, len(array), partial(empty_cache, path, reader))
            line("reading, h5py | reader, cache emptied", empty["h5py"], empty["reader"], 5)


def rates_of(ways: dict, images: int, before_each) -> dict:
    """Images per second of each way, a list of rounds."""
    rates = {name: [] for name in ways}
    for number in range(ROUNDS + 1):  # the first warms up
        order = np.random.default_rng(number).permutation(images)[: BATCHES * BATCH]
        for name, way in ways.items():
            spent = 0.0
            for chosen in np.split(order, BATCHES):
                before_each()
                spent += seconds(way, chosen)
            if number:
                rates[name].append(BATCHES * BATCH / spent)
    return rates


def empty_cache(path: Path, reader: hdf5.Images) -> None:
    reader._map.madvise(mmap.MADV_DONTNEED)  # the system keeps what a process has mapped
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def main():
    print(f"h5py {h5py.__version__}, {os.cpu_count()} cores; images/s: before | now, ratio")
    # Not in /tmp, which may itself be memory.
    with tempfile.TemporaryDirectory(dir=files.writable(settings.runs_dir())) as scratch:
        conversion(Path(scratch))
        reading(Path(scratch) / "uint8.hdf5")


if __name__ == "__main__":
    main()
