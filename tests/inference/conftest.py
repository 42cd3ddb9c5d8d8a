import pytest
from loaded import loaded

from srv.codecs import Codecs
from srv.discovery import discover
from srv.inference.event_loop import EventLoop


@pytest.fixture(scope="package")
def codecs():
    return Codecs(discover())


@pytest.fixture
def loop():
    loop = EventLoop()
    yield loop
    loop.close()


@pytest.fixture
def serve(codecs, loop, tmp_path):
    """Makes a model of a runtime class, ready to answer."""

    def make(runtime_class, *, codecs=codecs, **settings):
        return loaded(runtime_class, codecs, loop, tmp_path, **settings)

    return make
