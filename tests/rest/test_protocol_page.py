"""What the protocol page says of REST is what the code does."""

import re
from pathlib import Path

import numpy as np
import pytest

import srv.rest.errors as rest_errors
from srv.datatypes import DATATYPES
from srv.discovery import discover
from srv.rest.compression import LEAST
from srv.serve.assembly import assemble
from srv.serve.http import errors as http_errors
from srv.settings import ServerSettings
from srv.tensors import DTYPES

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
REST = PAGE.partition("\n## REST\n")[2].partition("\n## gRPC\n")[0]
VERSION = "/versions/{version}"
# The row of what models' runtimes bring, which is no route of the app.
OF_RUNTIMES = ("any", "/v2/models/{model}/…")


def rows(title):
    """The rows of a section's table, its head left out."""
    section = REST.partition(f"\n### {title}\n")[2].partition("\n### ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def methods_of(resource):
    return {name.removeprefix("on_").upper() for name in dir(resource) if name.startswith("on_")} - {"HEAD"}


@pytest.fixture
def server(tmp_path):
    server = assemble(ServerSettings(folder=tmp_path, access_log=False), discover())
    yield server
    server.close()


def test_the_page_has_every_route_of_the_app_with_its_method_and_no_other(server):
    ours = [route for route in server.app.routes if type(route[1]).__module__.startswith("srv.rest.")]
    there = {(method, path) for path, resource in ours for method in methods_of(resource)}
    said = {(verb, path) for verb, paths, _ in rows("Routes") for path in re.findall(r"`([^`]+)`", paths)}
    said.remove(OF_RUNTIMES)
    assert said == {(method, path) for method, path in there if VERSION not in path}
    of_a_model = {(verb, path) for verb, path in said if path.startswith("/v2/models/{model}")}
    versioned = {(verb, path.replace("{model}", "{model}" + VERSION)) for verb, path in of_a_model}
    assert versioned == {(method, path) for method, path in there if VERSION in path}


def test_the_page_has_the_extensions_that_the_server_names(server):
    assert [name.strip("`") for name, _ in rows("Extensions")] == list(server.dataplane.server().extensions)


def test_the_page_has_every_datatype_and_its_size():
    said = {name: size.split()[0] for name, _, size in rows("Requests")}
    sizes = {name: "4" if dtype == np.dtype(object) else str(dtype.itemsize) for name, dtype in DTYPES.items()}
    assert said == sizes
    assert list(said) == list(DATATYPES)


def test_the_page_has_the_table_of_errors_of_the_app_and_of_the_worker():
    of_worker = {
        (each.code, int(each.status))
        for each in vars(http_errors).values()
        if isinstance(each, type) and issubclass(each, http_errors.Refused)
    }
    there = {*rest_errors.STATUSES.items(), ("METHOD_NOT_ALLOWED", 405), *of_worker}
    said = {(code, int(status)) for code, status, _ in rows("Errors over REST")}
    assert said == there - {("BAD_REQUEST", 417)}  # told in its row


def test_answers_are_packed_from_the_size_on_that_the_page_says():
    assert "above 1 KiB" in REST
    assert LEAST == 1024
