"""CIFAR-10's reader on batches made here; none of these tests needs the data set or a network."""

import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.datasets import Dataset, cifar10
from course_lib.settings import CourseError

BATCHES = (*cifar10.TRAIN_BATCHES, cifar10.TEST_BATCH)
ROWS = 20  # images a batch in most tests


def batch(seed, rows=ROWS):
    """Pixels and labels of a batch with every byte value in it."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (rows, cifar10.PIXELS), dtype=np.uint8)
    return pixels, rng.integers(0, 10, rows).tolist()


def python3_pickle(pixels, labels, **more):
    """As a batch looks that was read and written again: keys are bytes, protocol 2."""
    content = {"batch_label": b"a batch", "labels": labels, "data": pixels, **more}
    return pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=2)


def python2_pickle(pixels, labels):
    """As Python 2 and the NumPy of 2009 wrote the official files, opcode by opcode."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    rows, columns = (b"M" + struct.pack("<H", length) for length in pixels.shape)
    return b"".join(
        [
            b"\x80\x02}q\x01(",
            text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5") + b"q\x03",
            text(b"labels") + b"q\x04]q\x05(",
            *(b"K" + bytes([label]) for label in labels),
            b"e" + text(b"data") + b"q\x06",
            b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85q\x09" + text(b"b") + b"\x87Rq\x0a(K\x01" + rows + columns + b"\x86",
            b"cnumpy\ndtype\nq\x0b" + text(b"u1") + b"K\x00K\x01\x87Rq\x0c(K\x03" + text(b"|"),
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + struct.pack("<i", pixels.size) + pixels.tobytes() + b"tb",
            text(b"filenames") + b"]q\x0d(" + text(b"camion_s_000148.png") + b"eu.",
        ]
    )


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """An empty data folder; batches have ROWS images, and nobody else is asked."""
    data = tmp_path / "data"
    (tmp_path / "keras").mkdir()
    data.mkdir()
    monkeypatch.setenv("COURSE_DATA_DIR", str(data))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(cifar10, "ROWS", ROWS)
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    know(monkeypatch, *map(batch, range(6)))
    return data


def know(monkeypatch, *batches):
    """From here on, these six batches are CIFAR-10."""
    parts = []
    for group in (batches[:5], batches[5:]):
        pixels = np.concatenate([pixels for pixels, _ in group]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([labels for _, labels in group])
        parts += [pixels.transpose(0, 2, 3, 1), labels]
    content = Dataset("any", cifar10.CLASSES, *parts).fingerprint()
    monkeypatch.setattr(cifar10, "CONTENT", content)


def fill(parent, **changed):
    """The folder of six batches in `parent`; `changed` gives other bytes, None leaves one out."""
    folder = parent / cifar10.FOLDER
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        content = changed.get(name, python3_pickle(*batch(number)))
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(data_dir):
    return fill(data_dir)


def pack(data_dir, monkeypatch, *strangers, **changed):
    """An archive of the six batches and of `strangers` (TarInfo), whose hash is made to fit."""
    archive = data_dir / "cifar-10-python.tar.gz"
    made = fill(data_dir / "made", **changed)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(made, cifar10.FOLDER)
        for stranger in strangers:
            stranger.size = 5 if stranger.isreg() else 0
            tar.addfile(stranger, io.BytesIO(b"hello"))
    shutil.rmtree(data_dir / "made")
    expect(archive, monkeypatch)
    return archive


def expect(archive, monkeypatch):
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(cifar10, "ARCHIVE_BYTES", archive.stat().st_size)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


# What is read


def test_full_batches_become_a_data_set(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    pixels, labels = batch(0, rows=10_000)
    content = python2_pickle(pixels, labels)
    fill(tmp_path, **dict.fromkeys(BATCHES, content))
    know(monkeypatch, *[(pixels, labels)] * 6)
    data = cifar10.load()
    assert (data.x_train.shape, data.x_train.dtype) == ((50_000, 32, 32, 3), np.uint8)
    assert (data.x_test.shape, data.x_test.dtype) == ((10_000, 32, 32, 3), np.uint8)
    assert (data.y_train.shape, data.y_train.dtype) == ((50_000,), np.int64)
    assert data.y_test.tolist() == labels
    # 1,024 red values in reading order, then green, then blue.
    image = pixels[-1].reshape(3, 32, 32)
    for row, column, channel in [(0, 0, 0), (0, 31, 1), (31, 0, 2), (17, 5, 1)]:
        assert data.x_train[-1, row, column, channel] == image[channel, row, column]
    assert data.classes[:2] == ("airplane", "automobile")
    assert len(data.classes) == 10


def test_batches_keep_their_order(folder):
    data = cifar10.load()
    for number in range(5):
        rows = slice(number * ROWS, (number + 1) * ROWS)
        pixels, labels = batch(number)
        expected = pixels.reshape(ROWS, 3, 32, 32).transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(data.x_train[rows], expected)
        assert data.y_train[rows].tolist() == labels
    assert data.y_test.tolist() == batch(5)[1]


def test_batches_that_are_there_need_no_package_for_downloads(folder):
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['pooch', 'requests', 'tensorflow']));"
        f"from course_lib.datasets import cifar10; cifar10.ROWS = {ROWS};"
        f"cifar10.CONTENT = {cifar10.CONTENT!r}; cifar10.load()"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_batch_of_protocol_5_is_read(data_dir):
    """As somebody's NumPy pickles it again, both times that arrays have had their own way."""
    pixels, labels = batch(0)
    for order in "CF":
        content = {"data": np.asarray(pixels, order=order), "labels": labels}
        path = data_dir / "batch"
        path.write_bytes(pickle.dumps(content, protocol=5))
        found, _ = cifar10.read_batch(path)
        np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)


# What is refused


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "missing"),
        (b"", "no pickle"),
        (python3_pickle(*batch(0))[:-1000], ""),
        (b"\x89PNG" * 100, ""),
        (python3_pickle(batch(0)[0], [12] + batch(0)[1][1:]), "label of image 0"),
        (python3_pickle(batch(0)[0], batch(0)[1][:-1] + [-1]), "label of image 19"),
        (python3_pickle(batch(0)[0], [True] + batch(0)[1][1:]), "label of image 0"),
        (python3_pickle(batch(0)[0], batch(0)[1][1:]), "20 labels"),
        (python3_pickle(batch(0)[0], b"01234567890123456789"), "20 labels"),
        (python3_pickle(batch(0)[0][:, 1:], batch(0)[1]), r"\(20, 3071\)"),
        (python3_pickle(batch(0)[0].astype(np.float32), batch(0)[1]), "uint8"),
        (python3_pickle(batch(0)[0].astype(object), batch(0)[1]), "uint8"),
        (python3_pickle(b"pixels", batch(0)[1]), "no NumPy array"),
        (pickle.dumps({b"labels": batch(0)[1]}, protocol=2), "'data' and 'labels'"),
        (pickle.dumps([1, 2], protocol=2), "'data' and 'labels'"),
    ],
)
def test_a_batch_that_is_not_one_is_named(data_dir, content, complaint):
    fill(data_dir, data_batch_1=content)
    with pytest.raises(CourseError, match=f"data_batch_1.*{complaint}") as error:
        cifar10.load()
    assert "run `python -m course_lib prepare cifar10`" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_too_large_to_be_a_batch_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(cifar10, "MAX_FILE_BYTES", 1000)
    with pytest.raises(CourseError, match="data_batch_1 in .* larger than 1,000 bytes"):
        cifar10.load()


@pytest.mark.parametrize(
    "changed",
    [
        {"test_batch": python3_pickle(*batch(4))},
        {"data_batch_2": python3_pickle(*batch(0))},
        {"data_batch_1": python3_pickle(*batch(5)), "test_batch": python3_pickle(*batch(0))},
        {"data_batch_3": python3_pickle(batch(2)[0] ^ 1, batch(2)[1])},
        {"data_batch_3": python3_pickle(batch(2)[0], [9 - label for label in batch(2)[1]])},
    ],
    ids=["training as test", "twice", "exchanged with test", "another image", "another label"],
)
def test_other_images_are_not_cifar10(data_dir, changed):
    folder = fill(data_dir, **changed)
    with pytest.raises(CourseError, match=f"{folder} does not hold the .* of CIFAR-10: .*; delete"):
        cifar10.load()


def test_another_order_is_the_same_content(data_dir, monkeypatch, folder):
    official = cifar10.load()
    shutil.rmtree(folder)
    exchanged = {
        "data_batch_1": python3_pickle(*batch(3)),
        "data_batch_4": python3_pickle(*batch(0)),
    }
    fill(data_dir, **exchanged)
    data = cifar10.load()
    assert data.content == official.content == cifar10.CONTENT
    assert data.order() != official.order()


# Pickles that would do something


class Touch:
    """Unpickled in the ordinary way, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("where", ["data", "filenames"])
def test_a_malicious_pickle_is_refused_and_not_executed(data_dir, protocol, where):
    trap = data_dir / "trap"
    content = dict(zip(("data", "labels"), batch(0), strict=True), filenames=[])
    content[where] = [Touch(trap)]
    evil = pickle.dumps(content, protocol)
    pickle.loads(evil)
    assert trap.exists(), "the trap must work, or this test shows nothing"
    trap.rmdir()
    fill(data_dir, data_batch_1=evil)
    with pytest.raises(CourseError, match="data_batch_1"):
        cifar10.load()
    assert not trap.exists()


@pytest.mark.parametrize(
    "evil",
    [
        b"\x80\x02(cos\nmkdir\nX\x04\x00\x00\x00trapo.",  # OBJ
        b"(X\x04\x00\x00\x00trapios\nmkdir\n.",  # INST
        b"\x80\x02cos\nmkdir\nX\x04\x00\x00\x00trap\x85\x81.",  # NEWOBJ
        b"\x80\x02X\x08\x00\x00\x00os mkdirX\x04\x00\x00\x00trap\x85R.",  # a name as text
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02\x82\x01.",  # EXT1
        b"Ptrap\n.",  # PERSID
    ],
)
def test_no_opcode_calls_anything(tmp_path, monkeypatch, evil):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError):
        cifar10.read_pickle(evil)
    assert files(tmp_path) == []


def read_anything(raw, folder):
    """Whatever the bytes are, a batch or a ValueError comes of them."""
    path = folder / "batch"
    path.write_bytes(raw)
    try:
        images, labels = cifar10.read_batch(path)
    except ValueError:
        return
    assert images.dtype == np.uint8
    assert set(labels) <= set(range(10))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("garbage")


@given(raw=st.binary(max_size=200))
def test_garbage_is_a_value_error(raw, scratch):
    read_anything(raw, scratch)
    read_anything(b"\x80\x02" + raw + b".", scratch)


OPCODES = [
    *(bytes([code]) for code in b"()]}\x85\x86\x87tabesuRN\x88\x890."),
    b"q\x00",
    b"h\x00",
    b"K\x05",
    b"U\x02u1",
    b"U\x04data",
    b"U\x06labels",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"c_codecs\nencode\n",
]


@given(opcodes=st.lists(st.sampled_from(OPCODES), max_size=40))
def test_any_order_of_known_opcodes_is_safe(opcodes, scratch):
    read_anything(b"\x80\x02" + b"".join(opcodes) + b".", scratch)


SMALL = python2_pickle(*batch(0, rows=1))


@given(position=st.integers(0, 400), byte=st.integers(0, 255))
def test_one_changed_byte_is_safe(position, byte, scratch):
    place = position if position < 200 else len(SMALL) - position + 199  # the ends hold opcodes
    read_anything(SMALL[:place] + bytes([byte]) + SMALL[place + 1 :], scratch)


# Archives


def test_an_archive_is_unpacked_once(data_dir, monkeypatch):
    archive = pack(data_dir, monkeypatch)
    assert cifar10.load().y_test.tolist() == batch(5)[1]
    assert files(data_dir) == [cifar10.FOLDER, archive.name]
    archive.unlink()
    assert cifar10.prepare() == data_dir / cifar10.FOLDER


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_a_batch_that_unpacks_to_gigabytes_is_not_unpacked(data_dir, monkeypatch):
    monkeypatch.setattr(cifar10, "MAX_FILE_BYTES", 2)
    archive = pack(data_dir, monkeypatch)
    with pytest.raises(CourseError, match="bytes, which no batch has"):
        cifar10.load()
    assert files(data_dir) == [archive.name]


@pytest.mark.parametrize(
    "stranger",
    [
        member("../outside"),
        member(f"{cifar10.FOLDER}/../../outside"),
        member("/outside"),
        member("beside"),
        member(f"{cifar10.FOLDER}/link", tarfile.SYMTYPE, "/etc"),
        member(f"{cifar10.FOLDER}/link", tarfile.SYMTYPE, "data_batch_1"),
        member(f"{cifar10.FOLDER}/link", tarfile.LNKTYPE, "../../outside"),
        member(f"{cifar10.FOLDER}/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: info.name,
)
def test_a_path_that_leaves_the_folder_is_refused(data_dir, monkeypatch, stranger):
    archive = pack(data_dir, monkeypatch, stranger)
    with pytest.raises(CourseError, match="a path that leaves cifar-10-batches-py"):
        cifar10.load()
    assert files(data_dir) == [archive.name]
    assert not (data_dir.parent / "outside").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],  # ends in the middle of the stream
        lambda raw: raw[:200] + b"?" * 50 + raw[250:],
        lambda raw: b"no gzip at all",
        lambda raw: gzip.compress(b"no tar at all" * 100),
        lambda raw: gzip.compress(gzip.decompress(raw)[:40_000]),
    ],
)
def test_a_damaged_archive_leaves_nothing(data_dir, monkeypatch, damage):
    archive = pack(data_dir, monkeypatch)
    archive.write_bytes(damage(archive.read_bytes()))
    expect(archive, monkeypatch)  # as if it had been published so
    with pytest.raises(CourseError, match="cifar-10-python.tar.gz"):
        cifar10.load()
    assert files(data_dir) == [archive.name]


@pytest.mark.parametrize("content", [None, python3_pickle(batch(0)[0], [10] * ROWS)])
def test_an_archive_with_a_bad_batch_leaves_nothing(data_dir, monkeypatch, content):
    archive = pack(data_dir, monkeypatch, data_batch_4=content)
    with pytest.raises(CourseError, match="data_batch_4 .*cifar-10-python.tar.gz"):
        cifar10.load()
    assert files(data_dir) == [archive.name]


def test_the_slower_of_two_unpackers_takes_the_folder_of_the_faster(data_dir, monkeypatch):
    archive = pack(data_dir, monkeypatch)
    read = cifar10.read

    def read_slowly(folder, **shown):
        data = read(folder, **shown)
        if shown:  # the check before the rename: now the other process is done
            shutil.copytree(folder, data_dir / cifar10.FOLDER)
        return data

    monkeypatch.setattr(cifar10, "read", read_slowly)
    assert cifar10.load().y_test.tolist() == batch(5)[1]
    assert files(data_dir) == [cifar10.FOLDER, archive.name]


def test_a_full_disk_while_unpacking_leaves_nothing(data_dir, monkeypatch):
    archive = pack(data_dir, monkeypatch)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(CourseError, match="No space left on device; make room"):
        cifar10.load()
    assert files(data_dir) == [archive.name]
