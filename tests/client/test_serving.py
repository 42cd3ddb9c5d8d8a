"""The client against real servers, over HTTP in both forms and over gRPC."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from servers import launched, running

from srv import InferenceRequest, Tensor
from srv.client import AsyncClient, Client, ConnectionLost, NoConnection
from srv.errors import DeadlinePassed, InvalidInput, ModelError, NotFound

pytestmark = pytest.mark.e2e
PAIR = Path(__file__).parents[1] / "serve" / "http" / "localhost.pem"
CODE = """
import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from srv import InferenceRequest, InferenceResponse, Runtime


class Double(Runtime):
    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * x


class Echo(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        said = {name: value for name, value in request.parameters.items() if name != "binary_data_output"}
        return InferenceResponse(request.inputs, said)


class Table(Runtime):
    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(rooms=table.rooms + 1)


class Shout(Runtime):
    def predict(self, text_input: list[str]) -> list[str]:
        return [text.upper() for text in text_input]

    def predict_stream(self, text_input: list[str]) -> Iterator[list[str]]:
        for word in text_input[0].split():
            yield [word.upper()]


class Broken(Runtime):
    def predict(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        raise KeyError("secret")

    def predict_stream(self, x: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        yield x
        raise KeyError("secret")


class Slow(Runtime):
    async def predict(self, mark: str) -> bool:
        Path(mark + ".begun").touch()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            Path(mark + ".left").touch()
            raise
        return True

    async def predict_stream(self, mark: str):
        try:
            for step in range(10_000):
                yield step
                await asyncio.sleep(0.01)
        finally:
            Path(mark + ".left").touch()
"""
MODELS = ("Double", "Echo", "Table", "Shout", "Broken", "Slow")


def write_models(folder):
    for name in MODELS:
        place = folder / name.lower()
        place.mkdir()
        (place / "models.py").write_text(CODE)
        (place / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name}"}))


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    write_models(folder)
    with running(folder, "--workers", "3") as server:
        grpc = server.wait_for(r"listening on (\S+) for gRPC").group(1)
        yield {"http": server.url(), "grpc": f"grpc://{grpc}"}


@pytest.fixture(scope="module", params=["binary", "json", "grpc"])
def client(request, addresses):
    if request.param == "grpc":
        made = Client(addresses["grpc"])
    else:
        made = Client(addresses["http"], form=None if request.param == "binary" else "json")
    with made:
        yield made


def test_a_model_answers_with_arrays(client):
    assert client.infer("double", [1, 2.5])["output"].tolist() == [2.0, 5.0]
    assert client.infer("double", x=np.arange(3)).value.tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "UINT64", "FP32", "FP64"])
def test_tensors_come_back_as_they_were_sent(client, datatype):
    array = np.array([[0, 1], [1, 0]]).astype({"BOOL": "?", "FP32": "f4", "FP64": "f8"}.get(datatype, datatype.lower()))
    result = client.infer("echo", Tensor("any", array))
    assert result.tensor("any").datatype == datatype
    assert np.array_equal(result["any"], array)


DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
SHAPES = [(), (0,), (1,), (3,), (0, 4), (2, 3), (2, 0, 3), (2, 3, 4), (9000,)]


def extreme(dtype, shape):
    """An array with the least and the largest values of its type in it, and for floats NaN, -0.0 and the smallest."""
    size, kind = int(np.prod(shape)), np.dtype(dtype)
    values = {"b": [True, False], "f": [np.nan, -0.0, 1.5]}.get(kind.kind)
    if kind.kind == "f":
        values += [np.finfo(kind).tiny, np.finfo(kind).max]
    elif values is None:
        values = [np.iinfo(kind).min, np.iinfo(kind).max, 1]
    return np.resize(np.array(values, kind), size).reshape(shape)


def layouts(array):
    """The same values in memory as programs happen to have them."""
    yield array
    yield array.astype(array.dtype.newbyteorder(">"))
    if array.ndim:
        yield np.repeat(array, 2, axis=-1)[..., ::2]
        yield array[::-1][::-1]
    if array.ndim > 1:
        yield np.asfortranarray(array)


def test_values_of_every_type_shape_and_layout_come_back_as_they_were(client):
    for dtype in DTYPES:
        for array in (extreme(dtype, shape) for shape in SHAPES):
            for given in layouts(array):
                got = client.infer("echo", a=given)["a"]
                assert (got.dtype, got.shape) == (array.dtype, array.shape)
                assert np.array_equal(got, array, equal_nan=array.dtype.kind == "f"), (dtype, array.shape)
                if array.dtype.kind == "f":
                    assert np.array_equal(np.signbit(got)[got == 0], np.signbit(array)[array == 0])


@pytest.mark.parametrize(
    "texts", [["", "ü€😀"], ["a\0b", "\0", "c\0"], [], [["a"], ["b"]], ["x" * 100_000], ['\n\t"\\']], ids=repr
)
def test_texts_come_back_as_they_were(client, texts):
    assert client.infer("echo", Tensor("a", texts, "BYTES")).decode("a") == texts
    array = np.array(texts, object)
    assert client.infer("echo", Tensor("a", array, "BYTES")).decode("a") == texts


def test_what_json_cannot_say_comes_back_too_unless_json_is_asked_for(addresses):
    tensors = [Tensor("a", np.array([np.inf, np.nan])), Tensor("b", [b"\xff"])]
    for url in addresses.values():
        with Client(url) as client:
            result = client.infer("echo", tensors)
            assert np.array_equal(result["a"], [np.inf, np.nan], equal_nan=True)
            assert result["b"].tolist() == [b"\xff"]
    with Client(addresses["http"], form="json") as client, pytest.raises(InvalidInput, match="infinity"):
        client.infer("echo", tensors)


def test_a_table_goes_in_and_comes_out(client):
    table = pd.DataFrame({"city": ["Bonn", "Köln"], "rooms": [3, 4]})
    result = client.infer("table", table)
    pd.testing.assert_frame_equal(result.table(), table.assign(rooms=[4, 5]))


def test_text_goes_in_and_comes_out(client):
    assert client.infer("shout", "straße").value == ["STRASSE"]
    assert client.generate("shout", "hello") == "HELLO"


def test_streams_come_piece_by_piece(client):
    assert [result.value for result in client.stream("shout", "a b c")] == [["A"], ["B"], ["C"]]
    assert [*client.generate_stream("shout", "a b")] == ["A", "B"]


def test_ids_parameters_and_the_request_s_own_id_are_there(client):
    result = client.infer("echo", {"x": [1]}, id="7", parameters={"p": "q"}, headers={"X-Request-Id": "mine"})
    assert (result.id, result.parameters["p"], result.request_id) == ("7", "q", "mine")
    assert (result.model_name, result.model_version) == ("echo", "1")


def test_none_is_a_parameter_that_is_not_there_and_a_version_may_be_a_number(client):
    result = client.infer("echo", {"x": [1]}, version=1, parameters={"p": None, "n": np.int64(5)}, headers={"X-A": 1})
    assert (result.model_version, dict(result.parameters)) == ("1", {"n": 5})


def test_outputs_are_chosen(client):
    assert client.infer("double", [1], outputs="output").value.tolist() == [2.0]
    result = client.infer("echo", {"a": [1], "b": [2]}, outputs=["b"])
    assert [*result] == ["b"]


@pytest.mark.parametrize(
    "ask, kind, code, said",
    [
        (lambda client: client.infer("nobody", [1]), NotFound, "NOT_FOUND", "No model is called 'nobody'"),
        (lambda client: client.infer("double", y=[1.0]), InvalidInput, "INVALID_INPUT", "'y' is unknown"),
        (lambda client: client.infer("broken", [1]), ModelError, "MODEL_ERROR", "KeyError"),
    ],
)
def test_refusals_are_errors_with_the_server_s_sentence_code_and_request_id(client, ask, kind, code, said):
    with pytest.raises(kind, match=said) as raised:
        ask(client)
    assert raised.value.code == code
    assert raised.value.request_id


def test_an_error_in_the_middle_of_a_stream_comes_after_what_was_there(client):
    stream = client.stream("broken", [1])
    assert next(stream).value.tolist() == [1]
    with pytest.raises(Exception, match="KeyError"):
        next(stream)


def test_a_deadline_that_passes_is_an_error(client, tmp_path):
    with pytest.raises(DeadlinePassed):
        client.infer("slow", str(tmp_path / "mark"), timeout=0.2)


def test_models_are_listed_described_unloaded_and_loaded(client):
    assert {row["name"] for row in client.models()} == {name.lower() for name in MODELS}
    assert [spec.name for spec in client.metadata("double").inputs] == ["x"]
    assert (client.is_live(), client.is_ready(), client.is_ready("double"), client.is_ready("nobody")) == (
        True, True, True, False,
    )  # fmt: skip
    client.unload("table")
    assert not client.is_ready("table")
    client.load("table")
    assert client.is_ready("table")
    assert client.server()["name"] == "srv"
    assert [row["name"] for row in client.statistics("double")] == ["double"]
    assert client.config("double")["name"] == "double"


def test_metadata_that_changed_are_read_again(tmp_path):
    place = tmp_path / "m"
    place.mkdir()
    (place / "model-settings.json").write_text('{"implementation": "models.Double"}')
    (place / "models.py").write_text(CODE)
    with running(tmp_path) as server, Client(server.url()) as client:
        assert client.infer("m", [1]).value.tolist() == [2.0]
        (place / "models.py").write_text(
            CODE.replace("x: NDArray[np.float32]", "y: NDArray[np.float64]").replace("2 * x", "y")
        )
        with Client(server.url()) as other:
            other.load("m")
        assert client.infer("m", [1]).value.tolist() == [1.0]


def test_many_threads_share_a_client(client):
    def ask(number):
        return client.infer("double", np.full(50, number)).value.tolist() == [2.0 * number] * 50

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(200)))


def test_whole_requests_are_sent_as_they_are(client):
    request = InferenceRequest([Tensor("x", np.array([1.0], np.float32))], id="9")
    assert client.infer("double", request).id == "9"


def test_a_server_that_is_not_there_is_said(tmp_path):
    for url in ("http://127.0.0.1:9", f"unix:{tmp_path}/none", "grpc://127.0.0.1:9"):
        with Client(url, retries=0, timeout=5) as client:
            with pytest.raises(NoConnection):
                client.infer("double", [1])
            assert not client.is_live()


def test_a_unix_socket_is_an_address(tmp_path):
    write_models(tmp_path)
    address = f"unix:{tmp_path}/s"
    with launched(tmp_path, "--host", address, "--grpc-port", "null") as server:
        server.wait_for("serving on")
        with Client(address) as client:
            assert client.infer("double", [1]).value.tolist() == [2.0]


def test_certificates_are_shown_and_checked_both_ways(tmp_path):
    write_models(tmp_path)
    tls = {"certfile": str(PAIR), "keyfile": str(PAIR), "client_ca": str(PAIR)}
    (tmp_path / "settings.json").write_text(json.dumps({"tls": tls}))
    with running(tmp_path) as server:
        line = server.wait_for(r"serving on https://127\.0\.0\.1:(\d+).*gRPC on 127\.0\.0\.1:(\d+)")
        for url in (f"https://localhost:{line[1]}", f"grpcs://localhost:{line[2]}"):
            with Client(url, verify=PAIR, certificate=(PAIR, PAIR)) as client:
                assert client.infer("double", [1]).value.tolist() == [2.0]
            for options in ({"verify": PAIR}, {"certificate": (PAIR, PAIR)}):
                with Client(url, **options, retries=0, timeout=10) as client:
                    with pytest.raises((NoConnection, ConnectionLost)):
                        client.server()
                    assert not client.is_live()


def test_the_async_client_answers_many_at_once(addresses):
    async def ask():
        async with AsyncClient(addresses["http"]) as client:
            results = await asyncio.gather(*(client.infer("double", [number]) for number in range(50)))
            pieces = [result.value async for result in client.stream("shout", "a b")]
            return [result.value[0] for result in results], pieces, await client.is_ready()

    assert asyncio.run(ask()) == ([2.0 * number for number in range(50)], [["A"], ["B"]], True)


def test_an_async_client_may_be_used_from_one_event_loop_after_another(addresses):
    client = AsyncClient(addresses["http"], connections=1)

    async def ask():
        return [result.value[0] for result in await asyncio.gather(*(client.infer("double", [n]) for n in range(5)))]

    assert asyncio.run(ask()) == asyncio.run(ask()) == [0.0, 2.0, 4.0, 6.0, 8.0]
    asyncio.run(client.close())


def wait_for_file(path):
    return asyncio.wait_for(_appearing(path), 30)


async def _appearing(path):
    while not path.exists():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("face", ["http", "grpc"])
def test_a_cancelled_call_leaves_the_server(addresses, face, tmp_path):
    mark = tmp_path / "mark"

    async def ask():
        async with AsyncClient(addresses[face]) as client:
            call = asyncio.create_task(client.infer("slow", str(mark)))
            await wait_for_file(tmp_path / "mark.begun")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await wait_for_file(tmp_path / "mark.left")

    asyncio.run(ask())


@pytest.mark.parametrize("face", ["http", "grpc"])
def test_a_cancelled_stream_leaves_the_server(addresses, face, tmp_path):
    mark = tmp_path / "mark"
    begun = asyncio.Event()

    async def read(client):
        async for _ in client.stream("slow", str(mark)):
            begun.set()

    async def ask():
        async with AsyncClient(addresses[face]) as client:
            reading = asyncio.create_task(read(client))
            await asyncio.wait_for(begun.wait(), 30)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await wait_for_file(tmp_path / "mark.left")

    asyncio.run(ask())


def test_more_streams_than_connections_take_turns(addresses):
    async def read(client, text):
        return [result.value[0] async for result in client.stream("shout", text)]

    async def ask():
        async with AsyncClient(addresses["http"], connections=2, timeout=30) as client:
            return await asyncio.gather(*(read(client, f"a{number} b") for number in range(8)))

    assert asyncio.run(ask()) == [[f"A{number}", "B"] for number in range(8)]


def test_a_stream_that_is_closed_ends_on_the_server(client, tmp_path):
    mark = tmp_path / "mark"
    stream = client.stream("slow", str(mark))
    next(stream)
    stream.close()
    asyncio.run(wait_for_file(tmp_path / "mark.left"))


def test_the_client_imports_nothing_of_a_server_and_no_pandas():
    code = "import sys, srv.client; print([name for name in ('falcon', 'gunicorn', 'grpc', 'pandas', 'pluggy', 'asyncio', 'urllib3') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
