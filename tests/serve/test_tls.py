import json
import os
import shutil
import signal
import socket
import ssl
import urllib.request
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from servers import Server, eventually, running, write_model

from srv.errors import SrvError
from srv.serve.tls import CertificateUnusable, read_pair
from srv.settings import TlsSettings

PAIR = Path(__file__).parent / "http" / "localhost.pem"
#: Another certificate for localhost, with a key of another kind.
RENEWED = Path(__file__).parent / "http" / "renewed.pem"


def write_server(folder):
    """Write a model and settings whose certificate and key are two files."""
    write_model(folder)
    (folder / "settings.json").write_text('{"tls": {"certfile": "certificate.pem", "keyfile": "key.pem"}}')
    renew(folder, PAIR)


def renew(folder, pair):
    for name in ("certificate.pem", "key.pem"):
        shutil.copy(pair, folder / name)


def shown(port):
    """The certificate that a server shows to a client that checks nothing."""
    return ssl.get_server_certificate(("localhost", int(port)), timeout=30)


def certificate_in(pair):
    return pair.read_text()[pair.read_text().index("-----BEGIN CERTIFICATE") :]


@pytest.mark.e2e
@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_a_worker_that_replaces_another_shows_the_certificate_of_the_start_though_its_files_are_broken(
    tmp_path, worker_class
):
    write_server(tmp_path)
    with running(tmp_path, environ={"SRV_WORKER_CLASS": worker_class}) as server:
        line = server.wait_for(r"serving on https://127\.0\.0\.1:(\d+).*gRPC on (\S+?)[,)]")
        (tmp_path / "key.pem").unlink()
        (tmp_path / "certificate.pem").write_text("half of it")
        (killed,) = server.workers()
        os.kill(killed, signal.SIGKILL)
        server.wait_for("Model 'double' loaded", times=2)

        assert eventually(lambda: is_served(line[1], line[2]))
        assert server.stop() == 0


def is_served(port, grpc_address):
    """Whether both faces answer a client that trusts the certificate of the start."""
    context = ssl.create_default_context(cafile=PAIR)
    try:
        with urllib.request.urlopen(f"https://localhost:{port}/v2/models/double/ready", context=context, timeout=30):
            pass
    except OSError:
        return False
    credentials = grpc.ssl_channel_credentials(PAIR.read_bytes())
    with grpc.secure_channel(grpc_address.replace("127.0.0.1", "localhost"), credentials) as channel:
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        return live(b"", timeout=30, wait_for_ready=True) == b"\x08\x01"


@pytest.mark.e2e
def test_a_reload_reads_the_certificate_again_and_refuses_one_that_cannot_serve_by_name(tmp_path):
    write_server(tmp_path)
    with running(tmp_path) as server:
        port = server.wait_for(r"serving on https://127\.0\.0\.1:(\d+)")[1]
        before = server.workers()

        shutil.copy(RENEWED, tmp_path / "key.pem")  # and the certificate is yet to come
        server.send(signal.SIGHUP)
        refusal = (
            r"The reload failed, and the old workers go on: The setting 'tls\.keyfile' names .*key\.pem, which is not"
        )
        server.wait_for(refusal)
        (tmp_path / "certificate.pem").unlink()
        server.send(signal.SIGHUP)
        server.wait_for("The reload failed, .* 'tls.certfile' names .*certificate.pem, which cannot be read")
        assert server.workers() == before
        assert shown(port) == certificate_in(PAIR)

        renew(tmp_path, RENEWED)
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: new workers serve double")
        eventually(lambda: shown(port) == certificate_in(RENEWED))
        assert server.stop() == 0


@pytest.mark.e2e
@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_both_faces_speak_tls_with_the_certificate_of_the_settings(tmp_path, worker_class):
    write_model(tmp_path)
    (tmp_path / "settings.json").write_text('{"tls": {"certfile": "pair.pem", "keyfile": "pair.pem"}}')
    shutil.copy(PAIR, tmp_path / "pair.pem")
    server = Server(tmp_path, environ={"SRV_WORKER_CLASS": worker_class, "SRV_GRPC_PORT": "0"})
    try:
        line = server.wait_for(r"serving on https://127\.0\.0\.1:(\d+).*gRPC on (\S+?)[,)]")
        context = ssl.create_default_context(cafile=PAIR)
        url = f"https://localhost:{line[1]}/v2/models/double/ready"

        with urllib.request.urlopen(url, context=context, timeout=30) as answer:
            assert answer.status == 200

        credentials = grpc.ssl_channel_credentials(PAIR.read_bytes())
        with grpc.secure_channel(line[2].replace("127.0.0.1", "localhost"), credentials) as channel:
            live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
            assert live(b"", timeout=30) == b"\x08\x01"
    finally:
        assert server.stop() == 0


def test_a_certificate_that_serves_is_taken():
    read_pair(TlsSettings(PAIR, PAIR))


@pytest.mark.parametrize(
    "certificate, key, sentence",
    [
        ("nowhere.pem", "pair.pem", r"'tls\.certfile' names .*nowhere\.pem, which cannot be read: No such file"),
        ("pair.pem", "nowhere.pem", r"'tls\.keyfile' names .*nowhere\.pem, which cannot be read"),
        ("garbage.pem", "garbage.pem", r"'tls\.certfile' names .*garbage\.pem, which with its key is of no use"),
        ("renewed.pem", "pair.pem", r"'tls\.keyfile' names .*pair\.pem, which is not the key of the certificate"),
        (
            "key.pem",
            "certificate.pem",
            r"'tls\.certfile' names .*key\.pem, which is a key, as 'tls\.keyfile' is a cert",
        ),
        ("certificate.pem", "certificate.pem", r"'tls\.keyfile' names .*pem, which holds no private key in PEM"),
        (".", "pair.pem", r"'tls\.certfile' names .*, which cannot be read: Is a directory"),
    ],
)
def test_a_certificate_that_cannot_serve_is_a_sentence_before_the_start(tmp_path, certificate, key, sentence):
    shutil.copy(PAIR, tmp_path / "pair.pem")
    (tmp_path / "garbage.pem").write_text("garbage")
    shutil.copy(RENEWED, tmp_path / "renewed.pem")
    (tmp_path / "key.pem").write_text(PAIR.read_text().replace(certificate_in(PAIR), ""))
    (tmp_path / "certificate.pem").write_text(certificate_in(PAIR))

    with pytest.raises(CertificateUnusable, match=sentence):
        read_pair(TlsSettings(tmp_path / certificate, tmp_path / key))


# -- what is taken of clients -------------------------------------------------------------------------------------------


def client_context(*, most=ssl.TLSVersion.MAXIMUM_SUPPORTED, ciphers=None, own=None):
    context = ssl.create_default_context(cafile=PAIR)
    context.maximum_version = most
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if own is not None:
        context.load_cert_chain(own)
    return context


def spoken(port, context):
    """The version of TLS and the cipher that a client and the server agree on, once a request was answered."""
    with (
        socket.create_connection(("localhost", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        return client.version(), client.cipher()[0]


def tls_server(folder, worker_class="srv", **tls):
    write_model(folder)
    settings = {"tls": {"certfile": str(PAIR), "keyfile": str(PAIR), **tls}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return running(folder, environ={"SRV_WORKER_CLASS": worker_class})


def address_in(server):
    line = server.wait_for(r"serving on https://127\.0\.0\.1:(\d+).*gRPC on (\S+?)[,)]")
    return int(line[1]), line[2].replace("127.0.0.1", "localhost")


CBC = "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:@SECLEVEL=0"


@pytest.mark.e2e
@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_no_cipher_with_cbc_is_taken_unless_settings_name_it(tmp_path, worker_class):
    with tls_server(tmp_path / "plain", worker_class) as server:
        port, _ = address_in(server)
        version, cipher = spoken(port, client_context(most=ssl.TLSVersion.TLSv1_2))
        assert version == "TLSv1.2"
        assert "GCM" in cipher or "CHACHA20" in cipher
        with pytest.raises(OSError):
            spoken(port, client_context(most=ssl.TLSVersion.TLSv1_2, ciphers=CBC))
        if worker_class == "srv":
            server.wait_for("TLS handshake with 127.0.0.1 failed: the client has none of the ciphers")
    with tls_server(tmp_path / "cbc", worker_class, ciphers="ALL") as server:
        port, _ = address_in(server)
        _, cipher = spoken(port, client_context(most=ssl.TLSVersion.TLSv1_2, ciphers=CBC))
        assert "GCM" not in cipher


@pytest.mark.e2e
def test_min_version_keeps_older_clients_out_over_http_and_the_log_says_that_grpc_does_not(tmp_path):
    with tls_server(tmp_path, min_version="1.3") as server:
        port, _ = address_in(server)
        assert spoken(port, client_context())[0] == "TLSv1.3"
        with pytest.raises(OSError):
            spoken(port, client_context(most=ssl.TLSVersion.TLSv1_2))
        server.wait_for("tls.min_version 1.3 holds for HTTP; grpcio goes on to take TLS 1.2")
        server.wait_for("the client's version of TLS is older than tls.min_version")


@pytest.mark.e2e
@pytest.mark.parametrize("worker_class", ["srv", "gthread"])
def test_with_client_ca_both_faces_answer_only_clients_whose_certificate_it_has_signed(tmp_path, worker_class):
    with tls_server(tmp_path, worker_class, client_ca=str(RENEWED)) as server:
        port, address = address_in(server)
        assert spoken(port, client_context(own=RENEWED))[0] == "TLSv1.3"
        for stranger in (client_context(), client_context(own=PAIR)):
            with pytest.raises((OSError, AssertionError)):
                spoken(port, stranger)
        if worker_class == "srv":
            server.wait_for("TLS handshake with .* failed: the client showed no certificate")

        own = RENEWED.read_bytes()
        assert live_over_grpc(address, own)
        assert not live_over_grpc(address, None)
        assert not live_over_grpc(address, PAIR.read_bytes())


def live_over_grpc(address, own):
    credentials = grpc.ssl_channel_credentials(PAIR.read_bytes(), own, own)
    with grpc.secure_channel(address, credentials, (("grpc.use_local_subchannel_pool", 1),)) as channel:
        try:
            return bool(channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=30))
        except grpc.RpcError:
            return False


@pytest.mark.parametrize(
    "setting, value, sentence",
    [
        ("ciphers", "NOTHING-LIKE-IT", r"'tls\.ciphers' is 'NOTHING-LIKE-IT', of which OpenSSL knows no cipher"),
        ("client_ca", "nowhere.pem", r"'tls\.client_ca' names .*nowhere\.pem, which cannot be read: No such file"),
        ("client_ca", "garbage.pem", r"'tls\.client_ca' names .*garbage\.pem, which holds no certificate in PEM"),
        ("client_ca", "empty.pem", r"'tls\.client_ca' names .*empty\.pem, which holds no certificate in PEM"),
    ],
)
def test_what_openssl_cannot_use_of_tls_is_a_sentence_before_the_start(tmp_path, setting, value, sentence):
    (tmp_path / "garbage.pem").write_text("gärbage")
    (tmp_path / "empty.pem").write_text("")
    given = tmp_path / value if setting == "client_ca" else value

    with pytest.raises(SrvError, match=sentence):
        read_pair(TlsSettings(PAIR, PAIR, **{setting: given}))


@pytest.mark.e2e
def test_metrics_count_the_handshakes_that_failed_apart_from_requests(tmp_path):
    with tls_server(tmp_path) as server:
        port, _ = address_in(server)
        for garbage in (b"\x00garbage" * 50, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.create_connection(("localhost", port), timeout=30) as client:
                client.sendall(garbage)
                with suppress(ConnectionResetError):
                    while client.recv(10_000):
                        pass

        def metrics():
            url = f"https://localhost:{port}/metrics"
            with urllib.request.urlopen(url, context=client_context(), timeout=30) as page:
                return page.read().decode()

        eventually(lambda: "srv_tls_handshake_failures_total 2.0" in metrics())
        assert 'outcome="BAD_REQUEST"' in metrics()  # the plain request was answered
        assert "TLS_HANDSHAKE" not in metrics()
