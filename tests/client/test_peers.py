"""The client against servers that break off, wait, say little, or speak the protocol as others do."""

import gzip
import json
import os
import ssl
import threading
from pathlib import Path

import numpy as np
import pytest
from peers import INFERRED, answered, ok, peer, read_request

from srv import InferenceRequest, Tensor
from srv.client import Client, ConnectionLost, NoConnection, NotTheProtocol, TimedOut, http_connections
from srv.errors import InvalidInput, NotFound, SrvError, Unimplemented

pytestmark = pytest.mark.e2e
PAIR = Path(__file__).parents[1] / "serve" / "http" / "localhost.pem"
X = Tensor("x", np.array([1.0], np.float32))


def by_path(pages, requests=None):
    """Answer each request of a connection by the response of its path; a list gives one after the other."""

    def answer(connection):
        while request := read_request(connection):
            if requests is not None:
                requests.append(request)
            page = pages.get(request.split(b" ")[1].decode(), answered(b"404 Not Found", b'{"detail":"Not Found"}'))
            connection.sendall(
                page.pop(0) if isinstance(page, list) and len(page) > 1 else page[0] if isinstance(page, list) else page
            )

    return answer


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr("srv.client.attempts._FIRST_SECONDS", 0.001)


def test_a_request_that_was_lost_over_tls_is_not_sent_again(no_pause):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PAIR)
    came = []

    def break_off(connection):
        if b"/infer" in (request := read_request(connection)):
            came.append(request)
            os.write(connection.fileno(), b"no record of TLS")
            return
        connection.sendall(ok(b'{"extensions":[]}'))

    with (
        peer(break_off, context) as address,
        Client(f"https://{address}", verify=PAIR) as client,
        pytest.raises(ConnectionLost),
    ):
        client.infer("m", X)
    assert len(came) == 1


def test_a_certificate_that_is_not_trusted_is_said_with_what_to_do():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PAIR)
    with (
        peer(read_request, context) as address,
        Client(f"https://{address}", retries=0) as client,
        pytest.raises(NoConnection, match=r"not trusted \(.*\); name its authority with verify"),
    ):
        client.infer("m", X)


def test_an_answer_that_trickles_ends_with_the_call_s_time():
    done = threading.Event()

    def trickle(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not done.wait(0.05):
            connection.sendall(b" ")

    with peer(trickle) as address, Client(address, timeout=0.3, form="json") as client:
        with pytest.raises(TimedOut):
            client.infer("m", X)
        done.set()


@pytest.mark.parametrize(
    "head, body",
    [
        (b"Content-Length: 999", INFERRED),
        (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(INFERRED), INFERRED)),
    ],
    ids=["of a length", "in chunks"],
)
def test_an_answer_that_is_cut_off_is_lost(head, body):
    def cut_off(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)

    with peer(cut_off) as address, Client(address, form="json") as client, pytest.raises(ConnectionLost):
        client.infer("m", X)


def test_an_answer_that_is_packed_or_in_chunks_is_read(no_pause):
    packed = gzip.compress(INFERRED)
    pages = [
        answered(b"200 OK", packed, b"Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + INFERRED[:5]
        + b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(INFERRED) - 5, INFERRED[5:]),
        ok(INFERRED),
    ]  # fmt: skip
    with peer(by_path({"/v2/models/m/infer": pages})) as address, Client(address, form="json") as client:
        assert [client.infer("m", X)["y"].tolist() for _ in range(3)] == [[2.0]] * 3


def test_a_request_may_take_longer_to_be_sent_than_to_connect(monkeypatch):
    monkeypatch.setattr(http_connections, "_CONNECT_SECONDS", 0.2)

    def read_late(connection):
        threading.Event().wait(0.6)  # while the client cannot send, because nobody reads
        read_request(connection)
        connection.sendall(ok(INFERRED))

    with peer(read_late) as address, Client(address, form="binary") as client:
        assert client.infer("m", Tensor("x", np.zeros(3_000_000, np.float32)))["y"].tolist() == [2.0]


def test_a_request_that_nobody_takes_within_its_time_has_timed_out():
    over = threading.Event()
    with peer(lambda connection: over.wait(30)) as address, Client(address, form="binary", timeout=0.3) as client:
        with pytest.raises(TimedOut):
            client.infer("m", Tensor("x", np.zeros(3_000_000, np.float32)))
        over.set()


def test_a_connection_is_not_used_again_after_the_status_500():
    connections = []

    def fail_once(connection):
        connections.append(connection)
        read_request(connection)
        first = answered(b"500 Internal Server Error", b"Internal Server Error")
        connection.sendall(first if len(connections) == 1 else ok(INFERRED))
        connection.recv(1)  # and then it is closed, without a word

    with peer(fail_once) as address, Client(address, form="json") as client:
        with pytest.raises(SrvError, match="status 500 and 'Internal Server Error'"):
            client.infer("m", X)
        assert client.infer("m", X)["y"].tolist() == [2.0]


def test_a_server_that_is_busy_when_first_asked_is_sent_binary_data_later(no_pause):
    busy = answered(b"503 Service Unavailable", b'{"error":"busy"}', b"Retry-After: 0")
    requests = []
    pages = {"/v2": [busy, ok(b'{"extensions":["binary_tensor_data"]}')], "/v2/models/m/infer": ok(INFERRED)}
    with peer(by_path(pages, requests)) as address, Client(address) as client:
        client.infer("m", X)
    assert b"Inference-Header-Content-Length" in requests[-1]


@pytest.mark.parametrize(
    "server, form",
    [
        (b'{"name":"triton","extensions":["binary_tensor_data"]}', "binary"),
        (b'{"name":"kserve","version":"0.21.0","extensions":["model_repository_extension"]}', "binary"),
        (b'{"name":"kserve","version":"0.11.2"}', "json"),
        (b'{"name":"mlserver","extensions":[]}', "json"),
    ],
)
def test_a_server_is_sent_the_form_that_it_takes(server, form):
    requests = []
    with (
        peer(by_path({"/v2": ok(server), "/v2/models/m/infer": ok(INFERRED)}, requests)) as address,
        Client(address) as client,
    ):
        client.infer("m", X)
    assert (b"Inference-Header-Content-Length" in requests[-1]) == (form == "binary")


def test_what_json_cannot_say_is_an_error_where_the_server_takes_no_binary_data():
    with (
        peer(by_path({"/v2": ok(b'{"extensions":[]}')})) as address,
        Client(address) as client,
        pytest.raises(InvalidInput, match="does not say that it takes binary data; form='binary' sends"),
    ):
        client.infer("m", Tensor("x", [b"\xff"]))


@pytest.mark.parametrize(
    "response, kind, said",
    [
        (answered(b"307 Temporary Redirect", b"", b"Location: https://other/"), SrvError, "redirects to 'https://other/'"),
        (answered(b"422 X", b'{"detail":[{"loc":["body","inputs",0,"shape"],"msg":"Field required"}]}'), InvalidInput, "inputs.0.shape: Field required"),
        (answered(b"404 Not Found", b'{"detail":"Not Found"}'), Unimplemented, "has no such route"),
        (answered(b"404 Not Found", b'{"error":"Model m not found"}'), NotFound, "Model m not found"),
        (ok(b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":"4"}}]}'), SrvError, "cannot be read"),
        (ok(b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1]}]}'), SrvError, "cannot be read"),
    ],
    ids=["redirect", "FastAPI's fields", "no route", "no model", "a size that is text", "too few values"],
)  # fmt: skip
def test_what_others_answer_is_an_error_that_says_it(response, kind, said):
    with (
        peer(by_path({"/v2/models/m/infer": response})) as address,
        Client(address, form="json") as client,
        pytest.raises(kind, match=said),
    ):
        client.infer("m", X)


def test_triton_says_400_for_what_is_not_ready():
    with peer(by_path({"/v2/health/ready": answered(b"400 Bad Request", b"")})) as address, Client(address) as client:
        assert not client.is_ready()


def test_a_server_without_an_index_has_its_models_listed_by_kserve_s_list():
    pages = {"/v2/models": ok(b'{"models":["a","b"]}'), "/v2/models/a/ready": ok(b"{}")}
    with peer(by_path(pages)) as address, Client(address) as client:
        assert client.models() == [{"name": "a", "state": "READY"}, {"name": "b", "state": "UNAVAILABLE"}]


def test_a_pool_of_which_all_connections_are_in_use_says_so():
    pages = {"/v2/models/m/infer_stream": answered(b"200 OK", b"data: " + INFERRED + b"\n\n").replace(b": 9", b": 999")}
    with peer(by_path(pages)) as address, Client(address, connections=1, form="json", timeout=0.3, retries=0) as client:
        stream = client.stream("m", X)
        next(stream)
        with pytest.raises(NoConnection, match="all 1 connections of this client are in use"):
            client.models()
        stream.close()


def test_what_is_said_beside_a_whole_request_replaces_what_it_says():
    requests = []
    whole = InferenceRequest([X], id="mine", parameters={"a": 1})
    with (
        peer(by_path({"/v2/models/m/infer": ok(INFERRED)}, requests)) as address,
        Client(address, form="json") as client,
    ):
        client.infer("m", whole)
        client.infer("m", whole, id="other", outputs=["y"], parameters={"b": 2})
    first, second = (json.loads(request.partition(b"\r\n\r\n")[2]) for request in requests)
    assert (first["id"], first["parameters"], first.get("outputs")) == ("mine", {"a": 1}, None)
    assert (second["id"], second["parameters"]) == ("other", {"a": 1, "b": 2})
    assert [output["name"] for output in second["outputs"]] == ["y"]


@pytest.mark.parametrize(
    "response, error, said",
    [
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            NotTheProtocol,
            r"it does not speak HTTP, its answer begins with 'SSH-2.0-OpenSSH_9.2'\.$",
        ),
        (b"", ConnectionLost, r"Remote end closed connection without response\.$"),
        (answered(b"200 OK", b"no gzip", b"Content-Encoding: gzip"), ConnectionLost, r"incorrect header check\.$"),
    ],
    ids=["another protocol", "nothing", "a broken package"],
)
def test_how_an_answer_was_lost_is_said_plainly(response, error, said):
    def answer(connection):
        read_request(connection)
        connection.sendall(response)

    with (
        peer(answer) as address,
        Client(address, form="json") as client,
        pytest.raises(error, match=said),
    ):
        client.infer("m", X)


@pytest.mark.parametrize(
    "inputs",
    [b'[{"name":"x","shape":["a"]}]', b'[{"name":"x","parameters":[1]}]', b'"abc"', b"[{}]"],
    ids=["a length that is no number", "parameters that are a list", "text", "no name"],
)
def test_metadata_that_cannot_be_read_are_an_error_that_says_so(inputs):
    page = ok(b'{"name":"m","inputs":' + inputs + b"}")
    with (
        peer(by_path({"/v2/models/m": page})) as address,
        Client(address) as client,
        pytest.raises(SrvError, match="its metadata of a model cannot be read"),
    ):
        client.metadata("m")
