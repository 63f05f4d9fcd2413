"""The built book, a server for it, and a browser that may talk to nobody else."""

import contextlib
import functools
import http.server
import importlib.util
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "_build" / "html"
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def built_pages() -> list[str]:
    """Every page of the built book, as a path below it; a stand-in when there is no book."""
    pages = sorted(p.relative_to(BOOK).as_posix() for p in BOOK.rglob("*.html"))
    return [p for p in pages if not p.startswith("_static/")] or ["index.html"]


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", built_pages())
    if "chapter" in metafunc.fixturenames:
        names = sorted(p.stem for p in (ROOT / "book").glob("[0-9]*.ipynb"))
        metafunc.parametrize("chapter", names)


def pytest_collection_modifyitems(items):
    """The tests of one page run one after the other, on one worker: they share its visits."""

    def page(item) -> str:
        of = item.callspec.params if hasattr(item, "callspec") else {}
        return of.get("name", f"book/{of['chapter']}.html" if "chapter" in of else "")

    items.sort(key=page)
    for item in filter(page, items):
        item.add_marker(pytest.mark.xdist_group(page(item)))


@pytest.fixture(scope="session")
def book() -> Path:
    if not (BOOK / "index.html").exists():
        pytest.skip("there is no built book in _build/html: run make book first")
    return BOOK


@pytest.fixture(scope="session")
def server(book):
    """The address of the book over http."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=book)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


@pytest.fixture(scope="session")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium on this machine: install chromium or google-chrome")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """A loaded page and all that went wrong while it loaded and was used."""

    page: object
    elsewhere: list[str] = field(default_factory=list)  # requests to other hosts; all are refused
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # of the console and of scripts

    def assert_clean(self):
        assert not self.elsewhere, f"requests to other hosts: {self.elsewhere}"
        assert not self.failed, f"failed requests: {self.failed}"
        assert not self.errors, f"errors in the console: {self.errors}"


@pytest.fixture(scope="session")
def visit(browser):
    """visit(url, scheme, width) opens a page in a context of its own and waits until it is at
    rest. Tests that only look share a visit; those that change the page ask for a `fresh` one."""
    with contextlib.ExitStack() as contexts:
        visits = {}

        def once(url: str, scheme: str = "light", width: int = 1280, fresh: bool = False) -> Visit:
            key = url, scheme, width
            if fresh:
                return open_page(*key)
            if all(url != known for known, *_ in visits):  # nobody asks for the last page again
                contexts.close()
                visits.clear()
            if key not in visits:
                visits[key] = open_page(*key)
            return visits[key]

        def open_page(url: str, scheme: str, width: int) -> Visit:
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 844}
            )
            contexts.callback(context.close)
            visited = Visit(context.new_page())
            home = urlsplit(url)[:2]

            def guard(route):
                # data: and blob: stay inside the page and never come here.
                if urlsplit(route.request.url)[:2] == home:
                    route.continue_()
                else:
                    visited.elsewhere.append(route.request.url)
                    route.abort()

            def answered(response):
                if response.status >= 400:
                    visited.failed.append(f"{response.status} {response.url}")

            def said(message):
                if message.type == "error":
                    visited.errors.append(message.text)

            context.route("**/*", guard)
            page = visited.page
            page.on("requestfailed", lambda request: visited.failed.append(request.url))
            page.on("response", answered)
            page.on("console", said)
            page.on("pageerror", lambda error: visited.errors.append(str(error)))
            page.goto(url, wait_until="load")
            page.wait_for_load_state("networkidle")
            page.evaluate("() => window.MathJax?.startup?.promise.then(() => true)")
            return visited

        yield once


@pytest.fixture(scope="session")
def vendor():
    """tools/vendor.py, as a module."""
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "tools" / "vendor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
