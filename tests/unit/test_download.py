"""Downloads from a server of our own on 127.0.0.1 that cuts, lies and breaks down on request."""

import contextlib
import errno
import hashlib
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from course_lib.datasets import download
from course_lib.settings import CourseError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "things.tar.gz"


class Server(ThreadingHTTPServer):
    """Serves CONTENT. `plan` holds what happens to the next requests, "ok" when it is empty.

    "ok", "cut" (closes half-way through what it should send), "hold" (sends half, then nothing for
    two seconds), "mute" (nothing at all for two seconds), "drip" (sends 100 bytes every 20 ms), a
    status such as 503.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.resumes = True
        self.encoding = None
        self.plan = []
        self.ranges = []  # the Range header of every request, in order
        self.url = f"http://127.0.0.1:{self.server_port}/files/{NAME}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        todo = server.plan.pop(0) if server.plan else "ok"
        if isinstance(todo, int):
            self.send_error(todo)
            return
        start, size = 0, len(server.content)
        if server.resumes and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        if server.encoding:
            self.send_header("Content-Encoding", server.encoding)
        self.end_headers()
        if todo == "drip":
            with contextlib.suppress(ConnectionError):  # the other side has enough of it
                for k in range(0, len(body), 100):
                    self.wfile.write(body[k : k + 100])
                    time.sleep(0.02)
            return
        part = {"cut": len(body) // 2, "hold": len(body) // 2, "mute": 0}
        self.wfile.write(body[: part.get(todo)])
        if todo in ("hold", "mute"):
            time.sleep(2)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def dead_url(monkeypatch):
    """An address on which nothing answers."""
    monkeypatch.setenv("NO_PROXY", "*")
    with Server() as server:
        url = server.url
    return url


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_a_file_is_downloaded_once(server, tmp_path):
    folder = tmp_path / "not" / "there"
    path = download.fetch(server.url, SHA256, folder)
    assert path == folder / NAME
    assert path.read_bytes() == CONTENT
    assert download.fetch(server.url, SHA256.upper(), folder) == path
    assert server.ranges == [None]
    assert files(folder) == [NAME]


def test_a_cut_connection_is_resumed_in_the_same_call(server, tmp_path):
    server.plan = ["cut", "cut"]
    assert download.fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=150000-", "bytes=225000-"]
    assert files(tmp_path) == [NAME]


def test_the_next_call_resumes_what_an_interrupted_one_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    server.plan = ["cut"] + [503] * (1 + download.RETRIES)
    with pytest.raises(CourseError, match="503"):
        download.fetch(server.url, SHA256, tmp_path)
    assert files(tmp_path) == [NAME + ".part"]  # nothing under the final name
    assert (tmp_path / (NAME + ".part")).read_bytes() == CONTENT[:150_000]
    assert download.fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=150000-"
    assert files(tmp_path) == [NAME]


def test_a_server_that_cannot_resume_sends_all(server, tmp_path):
    server.resumes = False
    (tmp_path / (NAME + ".part")).write_bytes(CONTENT[:1000])
    assert download.fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize(
    "part",
    [CONTENT, CONTENT + b"more", b"x" * 1000, b""],
    ids=["complete", "too long", "of another file", "empty"],
)
def test_whatever_lies_in_the_part_file_the_result_is_right(server, tmp_path, part):
    (tmp_path / (NAME + ".part")).write_bytes(part)
    assert download.fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert files(tmp_path) == [NAME]


def test_a_wrong_hash_is_an_error_and_leaves_nothing(server, tmp_path):
    server.content = b"<html>Please log in to this network.</html>"
    with pytest.raises(CourseError, match="another hash") as error:
        download.fetch(server.url, SHA256, tmp_path)
    says_what_to_put_where(error, tmp_path)
    assert files(tmp_path) == []


def test_a_file_without_a_published_sha256_is_held_against_its_md5(server, tmp_path):
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert download.fetch(server.url, f"md5:{md5}", tmp_path).read_bytes() == CONTENT
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(CourseError, match=f"its MD5 is not {md5}"):
        download.fetch(server.url, f"md5:{md5}", tmp_path)
    (tmp_path / NAME).unlink()
    server.content = b"something else"
    with pytest.raises(CourseError, match=f"another hash.* with MD5 {md5} into"):
        download.fetch(server.url, f"md5:{md5}", tmp_path)
    assert files(tmp_path) == []


def says_what_to_put_where(error, folder):
    message = str(error.value)
    assert f"put the file {NAME} with SHA-256 {SHA256} into {folder}" in message
    assert "\n" not in message


def test_no_server_says_what_to_put_where(dead_url, tmp_path):
    with pytest.raises(CourseError, match="no connection") as error:
        download.fetch(dead_url, SHA256, tmp_path)
    says_what_to_put_where(error, tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (CONTENT[:-1], "is truncated: 299,999 of 300,000 bytes"),
        (CONTENT[:-1] + b"?", f"its SHA-256 is not {SHA256}"),
    ],
)
def test_a_wrong_file_that_is_there_is_reported_and_left(server, tmp_path, found, complaint):
    (tmp_path / NAME).write_bytes(found)
    with pytest.raises(CourseError, match=complaint):
        download.fetch(server.url, SHA256, tmp_path, size=len(CONTENT))
    assert (tmp_path / NAME).read_bytes() == found
    assert server.ranges == []


def test_a_full_disk_is_an_error(server, tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, chunk):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "open", Full, raising=False)
    with pytest.raises(CourseError, match="No space left on device; make room"):
        download.fetch(server.url, SHA256, tmp_path)
    assert NAME not in files(tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("NO_PROXY", "*")
    assert download.fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_two_at_once_download_once(server, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(download.fetch, server.url, SHA256, tmp_path) for _ in range(2)]
    assert [call.result().read_bytes() == CONTENT for call in calls] == [True, True]
    assert server.ranges == [None]


FAST = download.Limit(rate=1e6, seconds=0.3)


@pytest.mark.parametrize(
    "variables, url, cause",
    [
        ({"REQUESTS_CA_BUNDLE": "/nonexistent"}, "https://127.0.0.1:9/a", "/nonexistent"),
        ({"http_proxy": "http://127.0.0.1:9"}, "http://example.org/a", "proxy (Connection ref"),
        ({"http_proxy": "socks5://127.0.0.1:9"}, "http://example.org/a", "PySocks"),
        ({}, "http://127.0.0.1:9/a", "(Connection refused)"),
        ({}, "nonsense", "that is no address"),
    ],
)
def test_a_failure_names_its_cause(variables, url, cause, tmp_path, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(download.Unavailable) as error:
        download.retrieve(url, tmp_path / "a")
    assert cause in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("status, says", [(403, "server answers 403 Forb"), (407, "proxy answers")])
def test_a_refusal_says_who_refuses(server, tmp_path, status, says):
    server.plan = [status]
    with pytest.raises(CourseError, match=says):
        download.fetch(server.url, SHA256, tmp_path)


@pytest.mark.parametrize("plan", [["drip"], ["hold"], ["cut", "hold"], ["cut"] * 30])
def test_a_server_below_the_limit_is_given_up_in_time(server, tmp_path, plan, monkeypatch):
    server.plan = list(plan)
    if plan == ["cut"] * 30:  # each time further, and all in all slowly
        append = download._Resuming._append
        monkeypatch.setattr(
            download._Resuming, "_append", lambda self, url: (time.sleep(0.1), append(self, url))
        )
    begun = time.monotonic()
    with pytest.raises(download.TooSlow, match=r"no more than \d+ kB/s for \d s"):
        download.retrieve(server.url, tmp_path / NAME, limit=FAST)
    assert time.monotonic() - begun < 2
    assert files(tmp_path) == [NAME + ".part"]
    server.plan = []
    download.retrieve(server.url, tmp_path / NAME, limit=FAST)
    assert (tmp_path / NAME).read_bytes() == CONTENT and server.ranges[-1]


def test_a_server_above_the_limit_is_not_given_up(server, tmp_path):
    server.content = CONTENT[:4000]
    server.plan = ["drip"]  # 5 kB/s, for longer than the limit looks
    download.retrieve(server.url, tmp_path / NAME, limit=download.Limit(rate=500, seconds=0.3))
    assert (tmp_path / NAME).read_bytes() == server.content


def test_without_a_limit_what_got_stuck_is_tried_again(server, tmp_path, monkeypatch, capsys):
    waits = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    server.plan = ["cut", 503, 503, "cut", 503]
    assert download.fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert waits == [5, 10, 5]
    assert (
        f"{NAME}: the server answers 503 Service Unavailable; again in 10 s"
        in capsys.readouterr().err
    )
