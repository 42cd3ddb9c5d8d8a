"""`srv health` and its like find the server where `srv start` of the same folder listens."""

import json
import shutil
from pathlib import Path

import pytest
from servers import running, write_model

from srv.cli import run
from srv.cli.server_address import server_address
from srv.errors import SrvError
from srv.settings import read_server_settings

PAIR = Path(__file__).parents[1] / "serve/http/localhost.pem"
TLS = {"certfile": "c.pem", "keyfile": "k.pem"}


def where(settings):
    """The URL of a server with those settings."""
    if settings.host.startswith("unix:"):
        return settings.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"{'http' if settings.tls is None else 'https'}://{host}:{settings.http_port}"


@pytest.mark.parametrize(
    "file, environ",
    [
        (None, {}),
        ({"http_port": 9000}, {}),
        ({"http_port": 9000}, {"SRV_HTTP_PORT": "9001"}),
        ({"http_port": 9000}, {"SRV_DEFAULT__HTTP_PORT": "9001", "SRV_DEFAULT__HOST": "::"}),
        ({"host": "127.0.0.9"}, {"SRV_DEFAULT__HOST": "0.0.0.0", "SRV_HOST": "0.0.0.0"}),
        ({"host": "127.0.0.9"}, {"SRV_DEFAULT__HOST": "0.0.0.0", "SRV_HOST": "127.0.0.2"}),
        ({}, {"SRV_DEFAULT__HOST": "127.0.0.3", "SRV_HOST": "127.0.0.3"}),
        ({"http_port": 9000}, {"SRV_HTTP_PORT": "tcp://10.0.0.1:80", "SRV_host": "elsewhere"}),
        ({"host": "0.0.0.0"}, {}),
        ({"host": "unix:/run/s"}, {}),
        ({"host": "unix:/run/s"}, {"SRV_HOST": "localhost"}),
        ({"tls": TLS}, {}),
        ({"tls": TLS}, {"SRV_TLS": "null"}),
        ({"tls": None}, {"SRV_DEFAULT__TLS": json.dumps(TLS)}),
        ({}, {"SRV_DEFAULT__TLS": json.dumps(TLS)}),
        ({}, {"SRV_TLS__CERTFILE": "c", "SRV_TLS__KEYFILE": "k"}),
        ({"tls": TLS}, {"SRV_TLS__MIN_VERSION": "1.3"}),
    ],
)
def test_the_address_is_that_of_the_settings_in_force(tmp_path, file, environ):
    if file is not None:
        (tmp_path / "settings.json").write_text("\ufeff" + json.dumps(file))

    assert server_address(tmp_path, environ).url == where(read_server_settings(tmp_path, environ=environ))


def test_a_server_that_wants_certificates_is_shown_its_own(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"tls": {**TLS, "client_ca": "ca.pem"}}))

    assert server_address(tmp_path, {}).certificate == (tmp_path / "c.pem", tmp_path / "k.pem")
    assert server_address(tmp_path, {"SRV_TLS__CLIENT_CA": "null"}).certificate is None


@pytest.mark.parametrize(
    "text, why",
    [
        ("{", "' is not JSON"),
        ('{"http_port": 0}', "The setting 'http_port' is 0, which takes a free port at each start"),
    ],
)
def test_settings_that_do_not_say_where_the_server_is_are_one_sentence(tmp_path, text, why):
    (tmp_path / "settings.json").write_text(text)

    with pytest.raises(SrvError, match=f"{why}, so nobody knows where its server is. Say it with --url."):
        server_address(tmp_path, {})


@pytest.mark.e2e
@pytest.mark.parametrize("tls", [TLS, {**TLS, "client_ca": "c.pem"}], ids=["TLS", "client_ca"])
@pytest.mark.parametrize("on_socket", [False, True], ids=["port", "unix"])
def test_health_asks_a_server_with_tls_as_the_folder_s_settings_say(tmp_path, short_path, capsys, tls, on_socket):
    write_model(tmp_path)
    for name in ("c.pem", "k.pem"):
        shutil.copy(PAIR, tmp_path / name)
    (tmp_path / "settings.json").write_text(json.dumps({"tls": tls}))
    with running(tmp_path, *(["--host", f"unix:{short_path}/s"] if on_socket else [])) as server:
        url = server.wait_for(r"listening on ((?:https://|unix:)[^\s\"]+)")[1]
        server.wait_ready()
        settings = {"host": url, "tls": tls} if on_socket else {"http_port": int(url.rpartition(":")[2]), "tls": tls}
        (tmp_path / "settings.json").write_text(json.dumps(settings))

        assert run(["health", str(tmp_path)]) == 0

    assert capsys.readouterr().out == "ready\n"
