"""A client's own options: what makes no sense is refused at once, with a sentence that names it."""

from pathlib import Path

import pytest

from srv import Tensor
from srv.client import Client
from srv.errors import InvalidInput, SrvError

PAIR = Path(__file__).parents[1] / "serve" / "http" / "localhost.pem"


@pytest.mark.parametrize(
    "options, said",
    [
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": None}, "timeout is None"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"retries": -1}, "retries is -1"),
        ({"connections": 0}, "connections is 0"),
        ({"form": "xml"}, "no form 'xml'"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(options, said):
    with pytest.raises(InvalidInput, match=said):
        Client(**options)


def test_a_call_s_own_timeout_is_looked_at_too():
    with Client() as client, pytest.raises(InvalidInput, match="timeout is -1"):
        client.infer("m", [1], timeout=-1)


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://a:b:c", "http://user:secret@host", "http://host?q=1"])
def test_what_is_no_url_of_a_server_is_refused_with_examples(url):
    with pytest.raises(SrvError, match="http://host:port"):
        Client(url)


@pytest.mark.parametrize(
    "url, whole",
    [
        ("localhost:8080", "http://localhost:8080"),
        ("http://host/prefix/", "http://host/prefix"),
        ("unix:/s", "unix:/s"),
    ],
)
def test_a_host_and_port_alone_are_http(url, whole):
    with Client(url) as client:
        assert client.url == whole


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
@pytest.mark.parametrize(
    "options, said",
    [
        ({"verify": "none.pem"}, "'none.pem' cannot be used: No such file"),
        ({"certificate": ("none.pem", "none.key")}, "'none.pem'.* cannot be used: No such file"),
    ],
)
def test_a_file_of_certificates_that_is_not_there_is_named(scheme, options, said):
    with pytest.raises(InvalidInput, match=said):
        Client(f"{scheme}://localhost:1", **options)


def test_a_key_with_a_password_is_an_error_and_no_question(tmp_path):
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(InvalidInput, match="cannot be used"):
        Client("https://localhost:1", certificate=(PAIR, key))


@pytest.mark.parametrize("url", ["http://localhost:1", "grpc://localhost:1"])
@pytest.mark.parametrize(
    "beside, said",
    [
        ({"parameters": {"p": object()}}, "parameter 'p' is a object"),
        ({"parameters": {"p": float("nan")}}, "parameter 'p' is nan"),
        ({"parameters": {"p": 2**64}}, "parameter 'p' is an integer of more than 64 bits"),
        ({"parameters": {"p": "\ud800"}}, "parameter 'p' is text with half a character"),
        ({"parameters": {"p": {1}}}, "parameter 'p' is a set"),
        ({"parameters": {"p": [object()]}}, "parameter 'p'"),
        ({"parameters": {1: 2}}, "1 is no name of a parameter"),
        ({"id": 7}, "id is 7, and must be text"),
        ({"version": 1.5}, "version is 1.5"),
        ({"headers": {"X A": "b"}}, "'X A' is no name of a header"),
        ({"headers": {"X-A": "b\r\nX-B: c"}}, "The header X-A has a value that no header can have"),
        ({"headers": {"content-length": "3"}}, "content-length is written by the client itself"),
        ({"headers": {"X-A": None}}, "The header X-A has a value"),
    ],
)
def test_what_cannot_be_sent_beside_the_inputs_is_refused_and_named(url, beside, said):
    with (
        Client(url, form="json" if url.startswith("http") else None) as client,
        pytest.raises(InvalidInput, match=said),
    ):
        client.infer("m", Tensor("x", [1.0]), **beside)


@pytest.mark.parametrize("model", ["", None, 7])
def test_a_model_is_named_by_text(model):
    with Client() as client:
        for ask in (client.metadata, client.load, client.config, lambda name: client.infer(name, Tensor("x", [1.0]))):
            with pytest.raises(InvalidInput, match=f"model is {model!r}, and must be text"):
                ask(model)
        with pytest.raises(InvalidInput, match="The text is '5', and must be text"):
            client.generate("m", 5)
