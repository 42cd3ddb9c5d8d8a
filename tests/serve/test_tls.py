import shutil
import ssl
import urllib.request
from pathlib import Path

import grpc
import pytest
from servers import Server, write_model

from srv.serve.certificate import CertificateUnusable, check_certificate
from srv.settings import TlsSettings

PAIR = Path(__file__).parent / "http" / "localhost.pem"


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
    check_certificate(TlsSettings(PAIR, PAIR))


@pytest.mark.parametrize(
    "certificate, key, sentence",
    [
        ("nowhere.pem", "pair.pem", r"'tls\.certfile' names .*nowhere\.pem, which cannot be read: No such file"),
        ("pair.pem", "nowhere.pem", r"'tls\.keyfile' names .*nowhere\.pem, which cannot be read"),
        ("garbage.pem", "garbage.pem", r"'tls\.certfile' names .*garbage\.pem, which with its key is of no use"),
        (".", "pair.pem", r"'tls\.certfile' names .*, which cannot be read: Is a directory"),
    ],
)
def test_a_certificate_that_cannot_serve_is_a_sentence_before_the_start(tmp_path, certificate, key, sentence):
    shutil.copy(PAIR, tmp_path / "pair.pem")
    (tmp_path / "garbage.pem").write_text("garbage")

    with pytest.raises(CertificateUnusable, match=sentence):
        check_certificate(TlsSettings(tmp_path / certificate, tmp_path / key))
