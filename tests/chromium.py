"""Headless Chromium for tests: the machine's own, because playwright would download one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: What Debian, other distributions and vendors call it.
NAMES = ("chromium", "chromium-browser", "google-chrome")


def program() -> str:
    """The path of Chromium. Raises AssertionError where there is none, because the stage is nothing without it."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found is not None, "There is no Chromium. On Debian: apt-get install chromium"
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium; a browser of playwright. Without its sandbox, which root has not and which needs kernel settings."""
    from playwright.sync_api import sync_playwright  # here, because the unit tests' environment may lack it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        yield browser
        browser.close()
