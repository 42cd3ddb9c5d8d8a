"""A web server for the module, and a download that counts."""

import pytest
from web_server import web_server


class Counted:
    """A download that counts what it is told."""

    def __init__(self):
        self.expected = []
        self.received = 0

    def expect(self, size):
        self.expected.append(size)

    def add(self, size):
        self.received += size

    def seconds_left(self):
        return 60.0


@pytest.fixture
def download():
    return Counted()


@pytest.fixture(scope="module")
def served():
    with web_server() as web:
        yield web


@pytest.fixture
def web(served):
    served.pages.clear()
    served.asked.clear()
    return served
