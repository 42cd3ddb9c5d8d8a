"""`srv models` and `srv health` ask a server that runs."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from servers import running, write_model

from srv.cli import run

CLOSED = "http://127.0.0.1:9"


class Canned:
    """A server that answers as the test says, and keeps what it was asked."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                canned.asked.append((self.command, self.path, body))
                status, data = canned.answers.get(self.path, (404, b"<html>"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                self.do_GET()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, path, document, status=200):
        self.answers[path] = (status, json.dumps(document).encode())

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def canned():
    made = Canned()
    yield made
    made.close()


def test_the_index_is_a_table(canned, capsys):
    rows = [
        {"name": "iris", "version": "2", "state": "READY", "reason": ""},
        {"name": "wine", "state": "UNAVAILABLE", "reason": "not loaded"},
    ]
    canned.answer("/v2/repository/index", rows)

    assert run(["models", "--url", canned.url]) == 0
    assert capsys.readouterr().out == (
        "NAME  VERSION  STATE        REASON\niris  2        READY\nwine           UNAVAILABLE  not loaded\n"
    )
    assert run(["models", "--json", "--url", canned.url]) == 0
    assert json.loads(capsys.readouterr().out) == rows


def test_a_server_without_models_says_so(canned, capsys):
    canned.answer("/v2/repository/index", [])
    assert run(["models", "--url", canned.url]) == 0
    assert capsys.readouterr().out == "The server has no models.\n"


@pytest.mark.parametrize("do", ["load", "unload"])
def test_a_model_is_loaded_and_unloaded_by_name_wherever_url_stands(canned, capsys, do):
    canned.answer(f"/v2/repository/models/a%2Fb/{do}", {})

    assert run(["models", do, "a/b", "--url", canned.url]) == 0
    assert run(["models", "--url", canned.url, do, "a/b"]) == 0
    assert capsys.readouterr().out == f"Model 'a/b' is {do}ed.\n" * 2
    assert canned.asked == [("POST", f"/v2/repository/models/a%2Fb/{do}", b"{}")] * 2


def test_what_the_server_refuses_is_told_in_its_own_words(canned, capsys):
    canned.answer("/v2/repository/models/irsi/load", {"error": "No model is called 'irsi'.", "code": "NOT_FOUND"}, 404)

    assert run(["models", "load", "irsi", "--url", canned.url]) == 1
    assert capsys.readouterr().err == f"The server at {canned.url} says: No model is called 'irsi'.\n"


@pytest.mark.parametrize("arguments", [["models"], ["models", "load", "a"], ["health"]], ids=" ".join)
def test_where_no_server_is_one_sentence_says_so(arguments, capsys):
    assert run([*arguments, "--url", CLOSED]) == 1
    assert capsys.readouterr().err == (
        f"No server answers at {CLOSED}: Connection refused. Start one with `srv start`, or say where it is with --url.\n"
    )


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:port", "http://[x"])
def test_what_is_no_url_is_refused_with_a_sentence(url, capsys):
    assert run(["health", "--url", url]) == 1
    assert (
        capsys.readouterr().err == f"'{url.rstrip('/')}' is no URL of a server; write http://host:port or unix:/path.\n"
    )


def test_a_server_that_is_not_srv_is_told_apart(canned, capsys):
    assert run(["models", "--url", canned.url]) == 1
    assert "does not look like srv: it answered 404" in capsys.readouterr().err


def test_the_server_is_looked_for_where_the_settings_variables_say(canned, monkeypatch, capsys):
    canned.answer("/v2/health/ready", {"ready": True})
    monkeypatch.setenv("SRV_HOST", "0.0.0.0")
    monkeypatch.setenv("SRV_HTTP_PORT", canned.url.rpartition(":")[2])

    assert run(["health"]) == 0
    answer = capsys.readouterr()
    assert answer.out == "ready\n"
    assert answer.err == f"The server is {canned.url}.\n"


def test_a_url_may_have_a_path_and_no_scheme(canned, capsys):
    canned.answer("/below/v2/health/live", {"live": True})
    assert run(["health", "--live", "--url", f"{canned.url.removeprefix('http://')}/below/"]) == 0
    assert capsys.readouterr().out == "live\n"


def test_what_a_server_says_of_its_models_cannot_move_the_cursor(canned, capsys):
    rows = [{"name": "m", "state": "UNAVAILABLE", "reason": "\x1b[2Jhidden\x9b1A\u202e"}]
    canned.answers["/v2/repository/index"] = (200, json.dumps(rows).encode())

    run(["models", "--url", canned.url])

    table = capsys.readouterr().out
    assert r"\x1b[2Jhidden\x9b1A\x202e" in table
    assert table.replace("\n", "").isprintable()


@pytest.mark.parametrize("status", [400, 500])
def test_what_a_server_refuses_with_cannot_move_the_cursor(canned, capsys, status):
    canned.answers["/v2/repository/index"] = (status, json.dumps({"error": "\x1b[2Jno\x9b1A"}).encode())

    assert run(["models", "--url", canned.url]) == 1

    assert r"\x1b[2Jno\x9b1A" in capsys.readouterr().err


def test_a_server_that_is_not_ready_is_exit_code_1_with_its_reason(canned, capsys):
    canned.answer("/v2/health/ready", {"ready": False, "error": "The server is shutting down."}, 503)
    assert run(["health", "--url", canned.url]) == 1
    assert capsys.readouterr().err == f"The server at {canned.url} says: The server is shutting down.\n"


def test_the_probe_imports_the_standard_library_and_click(canned):
    canned.answer("/v2/health/ready", {"ready": True})
    code = (
        "import sys; before = set(sys.modules)\n"
        "from srv.cli import run\n"
        f"assert run(['health', '--url', {canned.url!r}]) == 0\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(out.split()) - sys.stdlib_module_names <= {"ready", "srv", "click"}


@pytest.mark.e2e
def test_a_server_that_runs_is_asked_on_a_port_and_on_a_unix_socket(tmp_path, short_path, capsys):
    write_model(tmp_path / "models")
    address = f"unix:{short_path}/s"
    for flags in ([], ["--host", address]):
        with running(tmp_path / "models", *flags) as server:
            url = address if flags else server.url()
            assert run(["health", "--url", url]) == 0
            assert run(["models", "unload", "double", "--url", url]) == 0
            assert run(["models", "--url", url]) == 0
            assert run(["models", "load", "double", "--url", url]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == [
        "ready",
        "Model 'double' is unloaded.",
        "NAME    VERSION  STATE        REASON",
        "double  1        UNAVAILABLE  unloaded",
    ]
