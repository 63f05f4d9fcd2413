"""The reader of images in HDF5, on files made here."""

import gc
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from course_lib import datasets
from course_lib.datasets import hdf5
from course_lib.settings import CourseError

COUNT = 30
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 64, 64, 3), dtype=np.uint8)
LABELS = np.arange(COUNT) % 3


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "part.hdf5"
    start = hdf5.create(path, PIXELS.shape)
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(PIXELS)
    hdf5.finish(path, LABELS, [f"{k}.JPEG" for k in range(COUNT)], {"classes": ["a", "b", "c"]})
    return path


def complaint(path, in_memory=False):
    with pytest.raises(CourseError) as error:
        hdf5.read(path, "delete it", in_memory)
    message = str(error.value)
    assert message.startswith(str(path)) and message.endswith("; delete it")
    assert "\n" not in message
    return message


# What a file holds


def test_a_file_is_plain_hdf5(path):
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["images"][:], PIXELS)
        np.testing.assert_array_equal(file["labels"][:], LABELS)
        assert file["images"].chunks is None and file["images"].dtype == np.uint8
        assert file["images"].id.get_offset() % hdf5.PAGE == 0
        assert file["files"][3] == b"3.JPEG"
        assert file.attrs["schema"] == hdf5.SCHEMA and list(file.attrs["classes"]) == list("abc")
    assert path.stat().st_size < 1.1 * PIXELS.nbytes


def test_memory_and_file_hold_the_same(path):
    in_memory, labels, attributes = hdf5.read(path, "", in_memory=True)
    reader, *_ = hdf5.read(path, "")
    assert isinstance(in_memory, np.ndarray) and isinstance(reader, hdf5.Images)
    np.testing.assert_array_equal(in_memory, PIXELS)
    np.testing.assert_array_equal(reader[:], PIXELS)
    np.testing.assert_array_equal(labels, LABELS)
    assert labels.dtype == np.int64 and list(attributes["classes"]) == list("abc")


@pytest.mark.parametrize(
    "index",
    [
        np.array([7, 3, 29, 0]),
        np.array([5, 5, 5]),
        np.array([-1, 4]),
        np.array([], int),
        np.array([[1, 2], [3, 4]]),
        slice(None),
        slice(20, 3, -4),
        11,
        np.int64(-2),
        LABELS == 1,
    ],
    ids=str,
)
@pytest.mark.parametrize("random", [True, False], ids=["advised", "as on Windows"])
def test_a_reader_is_indexed_like_an_array(path, index, random, monkeypatch):
    monkeypatch.setattr(hdf5, "RANDOM", random and hdf5.RANDOM)
    reader, *_ = hdf5.read(path, "")
    found = reader[index]
    assert found.dtype == reader.dtype == np.uint8 and found.flags.writeable
    np.testing.assert_array_equal(found, PIXELS[index])


def test_rows_of_a_reader_read_nothing_yet(path, monkeypatch):
    reader, *_ = hdf5.read(path, "")
    with monkeypatch.context() as patch:
        patch.setattr(hdf5.Images, "__getitem__", lambda *_: pytest.fail("that reads"))
        view = reader.rows(np.array([9, 2, 4])).rows(np.array([2, 0]))
        assert view.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(view[:], PIXELS[[4, 9]])
    assert len(reader) == COUNT


def test_a_data_set_of_readers_is_one_of_arrays(path):
    reader, *_ = hdf5.read(path, "")
    parts = (LABELS, PIXELS[:9], LABELS[:9], PIXELS[9:12], LABELS[9:12])
    arrays = datasets.Dataset("any", tuple("abc"), PIXELS, *parts)
    both = datasets.Dataset("any", tuple("abc"), reader, *parts)
    assert both.fingerprint() == arrays.fingerprint()
    assert both.order() == arrays.order()
    few, same = both.subset(6, 3), arrays.subset(6, 3)
    assert few.fingerprint() == same.fingerprint() != arrays.fingerprint()
    assert isinstance(few.x_train, hdf5.Images) and few.x_train.shape == (6, 64, 64, 3)
    assert both.of_classes(2).fingerprint() == arrays.of_classes(2).fingerprint()


def test_the_file_is_closed_with_its_last_reader(path):
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux lists what a process has mapped")

    def is_open():
        return str(path) in maps.read_text()

    reader, *_ = hdf5.read(path, "")
    view = reader.rows([1])
    del reader
    assert is_open() and view[0].any()
    del view
    gc.collect()
    assert not is_open()


# What can be wrong with it


def test_a_missing_file_is_named(tmp_path):
    assert "is missing" in complaint(tmp_path / "none.hdf5")


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("left", [-1, 0.5, 0])
def test_a_truncated_file_is_an_error(path, left, in_memory):
    size = path.stat().st_size
    os.truncate(path, size - 1 if left == -1 else int(left * size))
    assert "truncated" in complaint(path, in_memory)


def test_what_the_system_keeps_closed_is_not_to_be_deleted(path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("Unable to open file (read failed: errno = 5, error message = 'Input/output'")

    fcntl = pytest.importorskip("fcntl")  # not on Windows
    with open(path) as file:  # another program has it open, and locked
        fcntl.flock(file, fcntl.LOCK_EX)
        hdf5.read(path, "delete it")
    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(CourseError, match="Input/output error; mend that") as error:
        hdf5.read(path, "delete it")
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("key", hdf5.KEYS)
def test_a_missing_key_is_named(path, key):
    with h5py.File(path, "r+") as file:
        del file[key]
    assert f"holds no {key}" in complaint(path)


def replaced(path, key, value, **options):
    with h5py.File(path, "r+") as file:
        del file[key]
        file.create_dataset(key, data=value, **options)


@pytest.mark.parametrize(
    ("key", "value", "options", "says"),
    [
        ("images", PIXELS.astype(float), {}, r"images of float64 \(30, 64, 64, 3\)"),
        ("images", PIXELS[..., 0], {}, r"images of uint8 \(30, 64, 64\)"),
        ("images", PIXELS[..., :2], {}, "not RGB"),
        ("images", PIXELS[:-1], {}, "one int64 label and one name for each"),
        ("images", PIXELS, {"chunks": (1, 64, 64, 3)}, "not written by this version"),
        ("labels", LABELS[:-1], {}, "one int64 label and one name for each"),
        ("labels", 3, {}, "one int64 label and one name for each"),
        ("labels", LABELS.astype(float), {}, "one int64 label and one name for each"),
        ("files", [b"one"], {}, "one int64 label and one name for each"),
    ],
    ids=str,
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_wrong_type_or_shape_is_an_error(path, key, value, options, says, in_memory):
    replaced(path, key, value, **options)
    with pytest.raises(CourseError, match=says):
        hdf5.read(path, "delete it", in_memory)
