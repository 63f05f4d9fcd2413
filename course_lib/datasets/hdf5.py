"""Images in an HDF5 file: one contiguous block of uint8, written in place, read in any order.

HDF5 selects single rows slowly and only in increasing order. But image k of a contiguous block
begins at byte `offset + k * size`, so the library is asked once for the offset, and the operating
system does the rest. The block begins at a page of memory: a 64x64 image is exactly three pages.

A file holds `images` (count, height, width, 3) uint8, `labels` (count,) int64, `files` (count,),
the images' names, and attributes.
"""

import copy
import mmap
import os
import re
from pathlib import Path

import h5py
import numpy as np

from course_lib import settings

SCHEMA = 1
PAGE = 4096
KEYS = ("images", "labels", "files")
RANDOM = hasattr(mmap, "MADV_RANDOM")  # not on Windows


class Images:
    """Images in a file, indexed like an array: `images[chosen]` reads them and returns uint8.

    `chosen` is whatever picks rows of an array, in any order: an integer, a slice, an array.
    Memory: what is returned, and 8 bytes an image. What else of the file is in memory is the
    system's cache, which it takes back when memory is short.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...]):
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if RANDOM:
            self._map.madvise(mmap.MADV_RANDOM)
        size = int(np.prod(shape))
        self._all = np.frombuffer(self._map, np.uint8, size, offset).reshape(shape)
        self._offset, self._rows = offset, np.arange(shape[0])

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._rows), *self._all.shape[1:])

    def rows(self, chosen) -> "Images":
        """These images as a reader of their own; nothing is read yet."""
        view = copy.copy(self)
        view._rows = self._rows[chosen]
        return view

    def __getitem__(self, index) -> np.ndarray:
        chosen = self._rows[index]
        # Ask for the whole batch before waiting for its first page: from a disk that is several
        # times faster than page after page.
        size = self._all.strides[0]
        for start in (self._offset + np.ravel(chosen) * size).tolist() if RANDOM else ():
            before = start % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, start - before, size + before)
        return self._all.take(chosen, axis=0)


def create(path: Path, shape: tuple[int, ...]) -> int:
    """Make a file with room for images of that shape; the byte at which the first begins."""
    with h5py.File(path, "x", alignment_threshold=PAGE, alignment_interval=PAGE) as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        kind, space = h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple(shape)
        return h5py.h5d.create(file.id, b"images", kind, space, layout).get_offset()


def finish(path: Path, labels: np.ndarray, files: list[str], attributes: dict) -> None:
    """Complete a file whose images are written."""
    # A name that is no Unicode stands as the bytes that it has on the disk.
    files = [name.encode(errors="surrogateescape") for name in files]
    labels, files = np.asarray(labels, np.int64), np.array(files, "S")
    # HDF5 crashes on a full disk, so ask for the room first; it cuts off what it does not need.
    with open(path, "ab") as file:
        file.write(bytes(labels.nbytes + files.nbytes + 2**20))
    with h5py.File(path, "r+") as file:
        file["labels"], file["files"] = labels, files
        file.attrs.update({"schema": SCHEMA, **attributes})
        file.flush()
        os.fsync(file.id.get_vfd_handle())


def read(path: Path, remedy: str, in_memory: bool = False):
    """(images, labels, attributes) of a file: an array with `in_memory`, else an Images.

    Raises CourseError, which says what is wrong with the file and then `remedy`; where the system
    does not let it be read, the file may be whole, and nothing is advised but to try again.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:  # nobody writes to a finished file
            missing = [key for key in KEYS if not isinstance(file.get(key), h5py.Dataset)]
            if missing:
                raise ValueError(f"holds no {' and no '.join(missing)}")
            images, labels, files = (file[key] for key in KEYS)
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
                raise ValueError(f"holds images of {images.dtype} {images.shape}, not RGB in uint8")
            if labels.dtype != np.int64 or not labels.shape == files.shape == images.shape[:1]:
                raise ValueError("does not hold one int64 label and one name for each image")
            if images.id.get_offset() is None or file.attrs.get("schema") != SCHEMA:
                raise ValueError("was not written by this version of the course")
            if in_memory:
                pixels = np.empty(images.shape, np.uint8)
                images.read_direct(pixels)
            else:
                pixels = Images(path, images.id.get_offset(), images.shape)
            return pixels, labels[:], dict(file.attrs)
    except FileNotFoundError:
        wrong = "is missing"
    except ValueError as error:
        wrong = str(error)
    except OSError as error:
        if reason := _reason(error):
            message = f"{path} cannot be read: {reason}; mend that and run this again"
            raise settings.CourseError(message) from error
        wrong = "cannot be read: it is truncated or no HDF5 file"
    raise settings.CourseError(f"{path} {wrong}; {remedy}")


def _reason(error: OSError) -> str | None:
    """What the system has against reading a file; None where it read and HDF5 is not pleased."""
    found = re.search(r"errno = (\d+)", str(error))  # h5py passes on HDF5's text
    number = error.errno or (found and int(found[1]))
    return os.strerror(number) if number else None
