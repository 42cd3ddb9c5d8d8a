"""`srv infer` against servers that ask for a key and for a certificate, and that show their own."""

import json
import re
from pathlib import Path

import pytest
from infer_runs import run, write_models, write_numbers
from servers import running

pytestmark = pytest.mark.e2e
PAIR = Path(__file__).parents[2] / "serve" / "http" / "localhost.pem"
KEY = "sixteen-characters-or-more"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    write_models(folder)
    tls = {"certfile": str(PAIR), "keyfile": str(PAIR), "client_ca": str(PAIR)}
    (folder / "settings.json").write_text(json.dumps({"tls": tls, "keys": {"test": KEY}}))
    with running(folder) as server:
        line = server.wait_for(r"serving on https://127\.0\.0\.1:(\d+).*gRPC on \S+?:(\d+)")
        yield folder, line[1], line[2]


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_key_and_certificates_are_shown_and_checked(guarded, tmp_path, scheme):
    _, http, grpc = guarded
    url = f"{scheme}://localhost:{http if scheme == 'https' else grpc}"
    source = write_numbers(tmp_path / "in.csv", 600)
    trusted, known = ["--cacert", PAIR, "--cert", PAIR], ["--key", KEY]
    run(None, "double", source, tmp_path / "out.jsonl", *trusted, *known, url=url)
    assert (tmp_path / "out.jsonl").read_text().splitlines()[-1] == '{"output":1198.0}'
    for flags, said in [
        (trusted, "[kK]ey"),
        ([*trusted, "--key", "another-one-of-sixteen"], "[kK]ey"),
        ([*known, "--cacert", PAIR], "No server answers|was lost"),
        ([*known, "--cert", PAIR], "No server answers|was lost"),
    ]:
        refused = run(None, "double", source, tmp_path / "no.jsonl", *flags, url=url, code=1)
        assert re.search(said, refused.stderr)
        assert len(refused.stderr.splitlines()) == 1


def test_the_server_of_the_folder_needs_no_certificate_named(guarded, tmp_path, monkeypatch):
    folder, http, _ = guarded
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SRV_HTTP_PORT", http)
    monkeypatch.setenv("SRV_KEY", KEY)
    source = write_numbers(tmp_path / "in.csv", 3)
    run(None, "double", source, tmp_path / "out.csv", url="")
    assert (tmp_path / "out.csv").read_text().split() == ["output", "0.0", "2.0", "4.0"]


def test_a_file_that_is_no_certificate_is_an_error_that_says_so(guarded, tmp_path):
    source = write_numbers(tmp_path / "in.csv", 3)
    url = f"https://localhost:{guarded[1]}"
    for flag in ("--cacert", "--cert"):
        refused = run(None, "double", source, tmp_path / "out.csv", flag, source, url=url, code=1)
        assert "is no PEM file of the kind" in refused.stderr
    run(None, "double", source, tmp_path / "out.csv", "--cacert", tmp_path / "none.pem", url=url, code=2)
