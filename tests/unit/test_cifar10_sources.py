"""Where CIFAR-10 is looked for: Keras' cache and servers of our own on 127.0.0.1, slow and broken
ones among them. None of these tests needs the data set, pyarrow or a network."""

# ruff: noqa: F811, since data_dir is a fixture from another file

import hashlib
import io
import pickle
import shutil
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from course_lib.datasets import cifar10, download, huggingface
from course_lib.settings import CourseError
from tests.unit.test_cifar10 import (  # noqa: F401, data_dir is a fixture
    BATCHES,
    batch,
    data_dir,
    files,
    fill,
    pack,
)

ARCHIVE, TRAIN, TEST = "/cifar-10-python.tar.gz", *(f"/{file}" for file in cifar10.FILES)
NEEDED = huggingface.needed
PREFIX = "/datasets/uoft-cs/cifar10/resolve/main"


class Server(ThreadingHTTPServer):
    """Serves `content` by path: bytes, or a status. `pace`: bytes a second of a path, else all."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.pace, self.asked = {}, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, path = self.server, self.path.removeprefix(PREFIX)
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        server.asked.append((path, start))
        body = server.content.get(path, 404)
        if isinstance(body, int):
            self.send_error(body)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rate = server.pace.get(path, 1e12)
        step = max(1, int(min(len(body), rate / 50)))
        for k in range(start, len(body), step):
            if rate == 0:
                time.sleep(5)
            self.wfile.write(body[k : k + step])
            self.wfile.flush()
            time.sleep(step / rate)


def png(image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def rows(numbers) -> list[dict]:
    """Of these batches the rows of a parquet file, as pyarrow gives them."""
    found = []
    for pixels, labels in map(batch, numbers):
        images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for image, label in zip(images, labels, strict=True):
            found.append({"img": {"bytes": png(image), "path": None}, "label": label})
    return found


class ParquetFile:
    """Stands for pyarrow's: the file is a pickle of the rows."""

    def __init__(self, path):
        self.rows = pickle.loads(path.read_bytes())

    def iter_batches(self, columns):
        assert columns == ["img", "label"]
        for k in range(0, len(self.rows), 30):
            yield SimpleNamespace(to_pylist=lambda k=k: self.rows[k : k + 30])


@pytest.fixture
def server(data_dir, monkeypatch):
    """All that can be had, from one server: the archive of "Toronto", and both parquet files."""
    archive = pack(data_dir, monkeypatch)
    with Server() as server:
        server.content = {
            ARCHIVE: archive.read_bytes(),
            TRAIN: pickle.dumps(rows([3, 2, 1, 4, 0])),  # the order in the official archive
            TEST: pickle.dumps(rows([5])),
        }
        archive.unlink()
        digests = [hashlib.sha256(bytes(batch(k)[1])).hexdigest() for k in range(5)]
        monkeypatch.setattr(cifar10, "LABELS", tuple(digests))
        monkeypatch.setattr(cifar10, "URL", server.url + ARCHIVE)
        monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
        monkeypatch.setattr(download, "PAUSE", 0)
        monkeypatch.setattr(huggingface, "needed", lambda: SimpleNamespace(ParquetFile=ParquetFile))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def slow(server, monkeypatch):
    """path -> from now on it comes at half of what the limit asks for."""
    monkeypatch.setattr(download, "LIMIT", download.Limit(rate=400_000, seconds=0.3))
    return lambda path: server.pace.update({path: 200_000})


def is_cifar10(data) -> bool:
    """Is that all images, in the order of the batches?"""
    same = [
        np.array_equal(images.transpose(0, 3, 1, 2).reshape(-1, cifar10.PIXELS), pixels)
        and labels.tolist() == wanted
        for k in range(6)
        for pixels, wanted in [batch(k)]
        for images, labels in [
            (data.x_test, data.y_test)
            if k == 5
            else (data.x_train[k * 20 : k * 20 + 20], data.y_train[k * 20 : k * 20 + 20])
        ]
    ]
    return same == [True] * 6


def paths(server):
    return [path for path, _ in server.asked]


# Keras' cache


@pytest.mark.parametrize(
    "place", ["", "cifar-10-batches-py-target", "cifar-10-batches-py_extracted"]
)
def test_batches_in_the_cache_of_keras_are_read_where_they_lie(server, data_dir, place):
    folder = fill(data_dir.parent / "keras" / "datasets" / place)
    assert cifar10.prepare() == folder and is_cifar10(cifar10.load())
    assert files(data_dir) == [] and server.asked == []


@pytest.mark.parametrize(
    "name",
    [
        "cifar-10-batches-py.tar.gz",
        "cifar-10-batches-py_archive",
        "cifar-10-batches-py-target_archive",
    ],
)
def test_the_archive_in_the_cache_of_keras_is_unpacked(server, data_dir, name):
    cache = data_dir.parent / "keras" / "datasets"
    cache.mkdir()
    (cache / name).write_bytes(server.content[ARCHIVE])
    assert cifar10.prepare() == data_dir / cifar10.FOLDER
    assert is_cifar10(cifar10.load())
    assert files(data_dir) == [cifar10.FOLDER] and files(cache) == [name] and server.asked == []


def test_a_damaged_cache_of_keras_is_passed_over_and_left(server, data_dir, capsys):
    cache = data_dir.parent / "keras" / "datasets"
    fill(cache / "cifar-10-batches-py-target", data_batch_5=None)
    (cache / "cifar-10-batches-py-target_archive").write_bytes(server.content[ARCHIVE][:-9])
    assert is_cifar10(cifar10.load())
    said = capsys.readouterr().err
    assert "not from Keras' cache: data_batch_5 is missing in" in said
    assert "target_archive is not the published archive, or not all of it" in said
    assert TRAIN in paths(server) and len(files(cache)) == 2


def test_the_own_folder_comes_before_all_others(server, data_dir, capsys):
    fill(data_dir.parent / "keras" / "datasets")
    folder = fill(data_dir)
    for source in (None, *cifar10.SOURCES):
        assert cifar10.prepare(source) == folder
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and f"{folder} is there already; delete it to take" in said[0]
    assert server.asked == []


# Servers


def test_the_copy_at_hugging_face_becomes_the_official_batches(server, data_dir):
    data = cifar10.load()
    assert is_cifar10(data) and paths(server) == [TRAIN, TEST]
    assert files(data_dir) == [cifar10.FOLDER]
    assert files(data_dir / cifar10.FOLDER) == sorted(BATCHES)
    again = cifar10.load()
    assert is_cifar10(again) and again.content == data.content == cifar10.CONTENT
    assert len(server.asked) == 2


def test_the_test_set_of_an_interrupted_download_is_all_that_is_fetched(server, data_dir):
    test = server.content.pop(TEST)
    with pytest.raises(CourseError, match=f"{TEST}: the server answers 404"):
        cifar10.prepare("huggingface")
    assert files(data_dir) == [".cifar10-huggingface"]
    server.content[TEST] = test
    assert cifar10.prepare("huggingface") == data_dir / cifar10.FOLDER
    assert paths(server).count(TRAIN) == 1 and files(data_dir) == [cifar10.FOLDER]


@pytest.mark.parametrize(
    "wrong",
    [
        404,
        b"<html>Please log in to this network.</html>",
        pickle.dumps(rows([3, 2, 1, 4, 4])),
        pickle.dumps(rows([3, 2, 1, 4])),
        pickle.dumps([row | {"label": 300} for row in rows(range(5))]),
        pickle.dumps([row | {"label": None} for row in rows(range(5))]),
        pickle.dumps([{"image": row["img"], "label": 1} for row in rows([0])]),
        pickle.dumps(
            [{"img": {"bytes": row["img"]["bytes"][:99]}, "label": 1} for row in rows([0])]
        ),
    ],
    ids=["missing", "a page", "twice", "few", "label", "no label", "columns", "broken image"],
)
def test_toronto_takes_over_where_hugging_face_has_something_else(
    server,
    data_dir,
    capsys,
    wrong,
):
    server.content[TRAIN] = wrong
    assert is_cifar10(cifar10.load())
    said = capsys.readouterr().err
    assert "cifar10: not from huggingface: " in said and "; going on with toronto" in said
    assert paths(server)[-1] == ARCHIVE
    assert files(data_dir) == [cifar10.FOLDER, "cifar-10-python.tar.gz"]


def test_without_pyarrow_nothing_is_asked_of_hugging_face(server, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setattr(huggingface, "needed", NEEDED)
    assert is_cifar10(cifar10.load()) and paths(server) == [ARCHIVE]
    assert "which is not installed: pip install pyarrow; going on" in capsys.readouterr().err


def test_toronto_takes_over_where_hugging_face_is_slow(server, slow, data_dir, capsys):
    slow(TRAIN)
    slow(ARCHIVE)  # the last one may
    assert is_cifar10(cifar10.load())
    said = capsys.readouterr().err
    assert "train-00000-of-00001.parquet: no more than" in said and "going on with toronto" in said
    assert paths(server) == [TRAIN, ARCHIVE]
    assert files(data_dir) == [cifar10.FOLDER, "cifar-10-python.tar.gz"]


def test_a_slow_server_has_time_where_no_other_is_left(server, slow, data_dir, capsys):
    slow(TRAIN)
    server.content[ARCHIVE] = 503
    assert is_cifar10(cifar10.load())
    said = capsys.readouterr().err
    assert "going on with toronto" in said and "going on with huggingface" in said
    continued = [start for path, start in server.asked if path == TRAIN]
    assert paths(server) == [TRAIN, ARCHIVE, TRAIN, TEST] and continued[1] >= 40_000
    assert files(data_dir) == [cifar10.FOLDER]


@pytest.mark.parametrize("source", ["huggingface", "toronto"])
def test_one_source_can_be_forced(server, slow, data_dir, source):
    fill(data_dir.parent / "keras" / "datasets")
    slow(TRAIN)  # the only one is never too slow
    slow(ARCHIVE)
    assert cifar10.prepare(source) == data_dir / cifar10.FOLDER
    assert is_cifar10(cifar10.load())
    assert paths(server) == {"huggingface": [TRAIN, TEST], "toronto": [ARCHIVE]}[source]


def test_a_forced_source_that_fails_is_not_replaced(server):
    for source in ("folder", "keras"):
        with pytest.raises(CourseError, match=f"no CIFAR-10 in .*leave out --from {source}"):
            cifar10.prepare(source)
    server.content[TRAIN] = 404
    with pytest.raises(CourseError, match=f"{server.url}{PREFIX}{TRAIN}: the server answers 404"):
        cifar10.prepare("huggingface")
    with pytest.raises(CourseError, match="did you mean toronto"):
        cifar10.prepare("torronto")
    assert ARCHIVE not in paths(server)


def test_a_full_disk_leaves_no_batches(server, data_dir, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cifar10.pickle, "dumps", full)
    with pytest.raises(CourseError, match="cannot write .*No space left on device; make room"):
        cifar10.prepare("huggingface")
    assert files(data_dir) == [".cifar10-huggingface"]  # what has been downloaded


def test_pyarrow_reads_what_is_published(server, data_dir, monkeypatch, tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    for path in (TRAIN, TEST):
        file = tmp_path / "file"
        pyarrow.parquet.write_table(pa.Table.from_pylist(pickle.loads(server.content[path])), file)
        server.content[path] = file.read_bytes()
    monkeypatch.setattr(huggingface, "needed", lambda: pyarrow.parquet)
    assert is_cifar10(cifar10.load()) and paths(server) == [TRAIN, TEST]
    shutil.rmtree(data_dir / cifar10.FOLDER)
    server.content[TRAIN] = b"no parquet at all"
    with pytest.raises(CourseError, match="is no parquet file of images and labels"):
        cifar10.prepare("huggingface")
