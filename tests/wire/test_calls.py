"""Pairs of files: NAME.call is what a client of gRPC said, NAME.json is what it must hear. How they are written: calls.py."""

import json
from pathlib import Path

import grpc
import pytest
from calls import have, read_call

from srv.discovery import discover
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.testing import Client

HERE = Path(__file__).parent
GOOD = read_call(HERE / "grpc" / "good" / "echo-typed.call")


def names(folder):
    return sorted(file.stem for file in (HERE / "grpc" / folder).glob("*.call"))


@pytest.fixture(scope="module")
def converse():
    settings = ServerSettings(folder=HERE / "models", max_body_size=100_000, access_log=False, model_control=False)
    server = assemble(settings, discover())
    server.load_models(lambda _: None, server.wanted())
    with Client(server) as client, grpc.insecure_channel(client.grpc_address) as channel:
        yield lambda call: have(call, channel, client.grpc_address)
    server.close()


@pytest.mark.parametrize("name", names("good"))
def test_a_call_is_answered_as_its_file_says(converse, name):
    expected = json.loads((HERE / "grpc" / "good" / f"{name}.json").read_text())

    assert converse(read_call(HERE / "grpc" / "good" / f"{name}.call")) == expected


@pytest.mark.parametrize("name", names("bad"))
def test_a_call_is_refused_as_its_file_says_and_a_good_one_is_answered_after_it(converse, name):
    expected = json.loads((HERE / "grpc" / "bad" / f"{name}.json").read_text())

    said = converse(read_call(HERE / "grpc" / "bad" / f"{name}.call"))
    after = converse(GOOD)

    # Some frames are refused by grpcio itself, whose releases choose different statuses.
    status = expected.pop("status")
    assert said["status"] in (status if isinstance(status, list) else [status])
    assert {key: said.get(key) for key in expected} == expected
    assert after["status"] == "OK"


def test_there_are_enough_bad_calls_in_each_form():
    assert len([name for name in names("bad") if name.startswith("typed-")]) >= 40
    assert len([name for name in names("bad") if name.startswith("raw-")]) >= 30
    assert len(names("bad")) >= 180
