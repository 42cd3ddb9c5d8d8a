"""What the log shows of an error in a model's code begins at the model's own file, however srv has called it."""

import json
import logging
from pathlib import Path
from textwrap import dedent

import pytest

from srv import InferenceRequest, Tensor
from srv.discovery import discover
from srv.serve.assembly import assemble
from srv.settings import ServerSettings

CODE = """
    from srv import Runtime

    def fails():
        raise ValueError("mine")

    class Sync(Runtime):
        def predict(self, request):
            fails()

        def unload(self):
            fails()

    class OwnThread(Sync):
        same_thread = True

    class Batched(Runtime):
        def predict(self, request):
            fails()

    class Async(Runtime):
        async def predict(self, request):
            fails()

        async def unload(self):
            fails()

    class Stream(Runtime):
        def predict_stream(self, request):
            yield ["first"]
            fails()

    class StreamOfOwnThread(Stream):
        same_thread = True

    class AsyncStream(Runtime):
        async def predict_stream(self, request):
            yield ["first"]
            fails()

    class Caused(Runtime):
        def predict(self, request):
            try:
                fails()
            except ValueError as error:
                raise KeyError("outer") from error

    class Closing(Runtime):
        def predict_stream(self, request):
            try:
                yield ["first"]
            finally:
                fails()
"""


@pytest.fixture
def serve(tmp_path):
    """Serves one class of the code above; gives its model, and the server."""
    servers = []

    def make(name, **settings):
        (tmp_path / "models.py").write_text(dedent(CODE))
        said = ServerSettings(folder=tmp_path, access_log=False)
        (tmp_path / "model-settings.json").write_text(
            json.dumps({"name": "m", "implementation": f"models.{name}", **settings})
        )
        servers.append(assemble(said, discover()))
        servers[-1].load_models(lambda _: None, servers[-1].wanted())
        return servers[-1].registry.find("m", None), servers[-1]

    yield make
    for server in servers:
        server.close()


def files(caplog, word):
    """The files and functions of the frames that the log shows of the error whose line has that word."""
    (record,) = [record for record in caplog.records if word in record.getMessage()]
    text = logging.Formatter().format(record)
    frames = [line.strip() for line in text.splitlines() if line.strip().startswith("File ")]
    return [(Path(frame.split('"')[1]).name, frame.rpartition(" in ")[2]) for frame in frames]


def request():
    return InferenceRequest([Tensor("x", [1.0])])


@pytest.mark.parametrize("name", ["Sync", "OwnThread", "Batched", "Async"])
def test_of_an_error_in_predict(serve, caplog, name):
    model, _ = serve(name, **({"max_batch_size": 4} if name == "Batched" else {}))

    with pytest.raises(Exception, match="raised ValueError"):
        model.answer(request(), None)

    assert files(caplog, "raised while predicting") == [("models.py", "predict"), ("models.py", "fails")]


def test_of_an_error_and_its_cause(serve, caplog):
    model, _ = serve("Caused")

    with pytest.raises(Exception, match="raised KeyError"):
        model.answer(request(), None)

    cause = [("models.py", "predict"), ("models.py", "fails")]
    assert files(caplog, "raised while predicting") == [*cause, ("models.py", "predict")]


@pytest.mark.parametrize("name", ["Stream", "StreamOfOwnThread", "AsyncStream"])
def test_of_an_error_in_predict_stream(serve, caplog, name):
    model, _ = serve(name)

    with pytest.raises(Exception, match="raised ValueError"):
        list(model.stream(request(), None))

    assert files(caplog, "raised while streaming") == [("models.py", "predict_stream"), ("models.py", "fails")]


def test_of_an_error_when_a_stream_is_closed(serve, caplog):
    model, _ = serve("Closing")
    stream = model.stream(request(), None)
    next(stream)

    stream.close()

    closed = [("models.py", "predict_stream")]  # by a GeneratorExit, which Python shows before the error
    expected = [*closed, ("models.py", "predict_stream"), ("models.py", "fails")]
    assert files(caplog, "raised when its stream was closed") == expected


@pytest.mark.parametrize("name", ["Sync", "OwnThread", "Async"])
def test_of_an_error_in_unload(serve, caplog, name):
    model, server = serve(name)

    server.loader.unload(model)

    assert files(caplog, "raised while unloading") == [("models.py", "unload"), ("models.py", "fails")]
