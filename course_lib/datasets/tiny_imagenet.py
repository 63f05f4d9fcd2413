"""Tiny ImageNet: 200 classes of 64x64 photographs (Stanford CS231n), from JPEGs to HDF5.

The labels of its test set are not public, so 50 training images of each class become the test set
(stratified, seed 42) and `val/` is the validation set: 90,000, 10,000 and 10,000 images of the
official archive, as in the article (source S5). A folder with fewer images per class gives a
smaller training set.

`prepare` writes `train.hdf5`, `val.hdf5`, `test.hdf5`, the training mean of R, G and B,
`means.json`, and how long each part took here, `seconds.json`. A label is the place of the class in
the sorted ids (wnids). The attribute `source_sha256` is that of the text `sha256sum` prints for
`wnids.txt`, `words.txt`, `val/val_annotations.txt` and all images, sorted by name: a folder and its
archive agree.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from tqdm import tqdm

from course_lib import files, processor, settings
from course_lib.datasets import Dataset, hdf5
from course_lib.datasets import tiny_imagenet_source as published

PREPARED = "tiny-imagenet"
SHAPE = (64, 64, 3)
IMAGE_BYTES = 64 * 64 * 3
TEST_PER_CLASS = 50
BLOCK = 250  # images that a process decodes at a time
FEW = 2_000  # images that are decoded sooner than other processes start


def load(in_memory: bool | None = None, **options) -> Dataset:
    """The data set, prepared if need be; `options` and errors as for `prepare`.

    in_memory: images as arrays, 12 KiB each, or as readers (hdf5.Images); None takes arrays
    where all of them fill at most a quarter of the machine's memory. Both give the same batches.
    """
    folder = prepare(**options)
    if in_memory is None:
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
        size = sum(file.stat().st_size for file in folder.glob("*.hdf5"))
        in_memory = size <= pages * hdf5.PAGE / 4
    return _read(folder, in_memory)


def prepare(data: Path | None = None, test_per_class: int = TEST_PER_CLASS) -> Path:
    """The folder of the HDF5 files in `data`, made if need be, and checked.

    data: COURSE_DATA_DIR by default; holds the unpacked images or their archive, which is
    downloaded if need be. The folder appears when all is done, and is never touched again: after
    an interruption the next call starts over.

    Raises CourseError for images that are missing or not what they should be, and when there is
    no room.
    """
    data = data or settings.data_dir()
    folder = data / PREPARED
    if not folder.is_dir():
        source = published.find(files.writable(data))
        with files.alone(data) as locked:
            for left in data.glob(f".{PREPARED}-*") if locked else ():  # by interrupted ones
                shutil.rmtree(left, ignore_errors=True)
            if not folder.is_dir():
                _convert(source, folder, test_per_class)
    _read(folder, in_memory=False)
    return folder


def _read(folder: Path, in_memory: bool) -> Dataset:
    remedy = f"delete the folder {folder} and run this again"
    arrays, sources = {}, set()
    for part in ("train", "val", "test"):
        file = folder / f"{part}.hdf5"
        images, labels, attributes = hdf5.read(file, remedy, in_memory)
        classes = tuple(attributes.get("classes", ()))
        if attributes.get("split") != part or images.shape[1:] != SHAPE or not classes:
            raise settings.CourseError(f"{file} is not the {part} set; {remedy}")
        sources.add((attributes.get("source_sha256"), classes))
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    if len(sources) > 1:
        raise settings.CourseError(f"the files in {folder} are of different images; {remedy}")
    # Hashing 110,000 images at every load would take seconds: `prepare` hashed their files.
    return Dataset(PREPARED, classes, **arrays, content=attributes.get("source_sha256"))


# --- from JPEGs to HDF5 ---------------------------------------------------------------------------


def decode(raw: bytes) -> np.ndarray:
    """A JPEG as (64, 64, 3) uint8 in RGB; ValueError says what is wrong with it."""
    try:
        image = Image.open(io.BytesIO(raw), formats=("JPEG",))
        if image.size == SHAPE[:2]:
            pixels = (image if image.mode == "RGB" else image.convert("RGB")).tobytes()
            return np.frombuffer(pixels, np.uint8).reshape(SHAPE)
    except Exception as error:  # damage shows in many ways
        raise ValueError("is truncated or no JPEG") from error
    raise ValueError(f"has {image.width}x{image.height} pixels, not 64x64")


def _write_block(source: Path, target: Path, names: list[str], start: int):
    """Decode `names` into `target` from byte `start` on. Their SHA-256, sum of (R, G, B)."""
    pixels, digests = np.empty((len(names), *SHAPE), np.uint8), []
    for number, name in enumerate(names):
        raw = published.content(source, name)
        digests.append(hashlib.sha256(raw).hexdigest())
        try:
            pixels[number] = decode(raw)
        except ValueError as error:
            raise published.wrong(source, name, str(error)) from error
    with open(target, "r+b") as file:
        file.seek(start)
        file.write(pixels)
    return digests, pixels.sum(0, dtype=np.int64).sum((0, 1))


@contextmanager
def _mapping(images: int):
    """`map`, on all cores unless there are few images. (Threads are slower than one alone.)"""
    if images < FEW:
        yield map
        return
    cores = min(processor.cores(), 60)  # Windows waits for no more than 63
    pool = ProcessPoolExecutor(cores, get_context("spawn"), initializer=_depend_on_parent)

    def mapping(*args):
        # Workers start here, and would first import the caller's script: one that is not behind
        # `if __name__ == "__main__"` would start this conversion again, and wait for itself.
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return pool.map(*args)
        finally:
            sys.modules["__main__"] = script

    try:
        yield mapping
    finally:
        pool.shutdown(cancel_futures=True)


def _depend_on_parent() -> None:
    """In a worker: Ctrl-C is the parent's to answer, and its end is the worker's, kill -9 too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait = parent_process().join
    threading.Thread(target=lambda: (wait(), os._exit(1)), daemon=True).start()


def _convert(source: Path, folder: Path, test_per_class: int) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{PREPARED}-", dir=folder.parent))
    try:
        made = temporary / PREPARED  # whose permissions are the usual ones, unlike mkdtemp's
        made.mkdir()
        _write(made, source, *published.plan(source, test_per_class))
        os.rename(made, folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: of h5py, or a worker died
        if not folder.is_dir():  # else another process was faster, and its folder is as good
            raise settings.CourseError(
                f"cannot write {folder}: {getattr(error, 'strerror', None) or error}; make room "
                "there or choose another folder with COURSE_DATA_DIR"
            ) from error
    finally:
        published.archive.cache_clear()
        shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: Path, source: Path, wnids, classes, parts) -> None:
    """The three HDF5 files and the means, into `folder`."""
    total = sum(map(len, parts.values()))
    if shutil.disk_usage(folder).free < total * IMAGE_BYTES:
        raise OSError(errno.ENOSPC, f"{total * IMAGE_BYTES / 1e9:.2f} GB are needed")
    texts = ("wnids.txt", "words.txt", published.ANNOTATIONS)
    digests = {name: hashlib.sha256(published.content(source, name)).hexdigest() for name in texts}
    sums, seconds = dict.fromkeys(parts, 0), {}
    with _mapping(total) as mapping:
        for part, images in parts.items():
            begin = time.perf_counter()
            file, names = folder / f"{part}.hdf5", [name for _, name in images]
            first, steps = hdf5.create(file, (len(names), *SHAPE)), range(0, len(names), BLOCK)
            blocks = [names[k : k + BLOCK] for k in steps]
            starts = [first + k * IMAGE_BYTES for k in steps]
            done = mapping(partial(_write_block, source, file), blocks, starts)
            bar = tqdm(total=len(names), desc=part, unit=" images", file=sys.stderr, disable=None)
            with bar:
                for block, (hashes, colours) in zip(blocks, done, strict=True):
                    digests |= zip(block, hashes, strict=True)
                    sums[part] += colours
                    bar.update(len(block))
            seconds[part] = round(time.perf_counter() - begin, 2)
    # A name that is no Unicode stands as the bytes that it has on the disk.
    listing = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    attributes = {
        "wnids": wnids,
        "classes": classes,
        "source_sha256": hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest(),
        "training_images_per_class": len(parts["train"]) // len(wnids),
    }
    for part, images in parts.items():
        labels, names = zip(*images, strict=True)
        hdf5.finish(folder / f"{part}.hdf5", labels, names, {**attributes, "split": part})
    means = sums["train"] / (len(parts["train"]) * SHAPE[0] * SHAPE[1])
    (folder / "means.json").write_text(json.dumps(dict(zip("RGB", means, strict=True))) + "\n")
    (folder / "seconds.json").write_text(json.dumps(seconds) + "\n")
