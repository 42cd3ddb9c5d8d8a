import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from srv.serve.certificate_dates import end_of

CERTIFICATES = [Path(__file__).parent / "http" / name for name in ("localhost.pem", "renewed.pem")]


@pytest.mark.parametrize("file", CERTIFICATES, ids=lambda file: file.name)
def test_the_end_of_a_certificate_is_what_openssl_reads(file):
    openssl = ssl._ssl._test_decode_cert(str(file))["notAfter"]

    assert end_of(file.read_bytes()) == ssl.cert_time_to_seconds(openssl)


def element(kind, *content):
    whole = b"".join(content)
    return bytes([kind, len(whole)]) + whole


@pytest.mark.parametrize(
    "kind, text, year",
    [(0x17, b"491231235959Z", 2049), (0x17, b"501231235959Z", 1950), (0x18, b"20501231235959Z", 2050)],
    ids=["UTCTime", "UTCTime of the last century", "GeneralizedTime"],
)
@pytest.mark.parametrize("version", [b"", element(0xA0, element(2, b"\x02"))], ids=["v1", "v3"])
def test_dates_are_read_in_both_forms_and_of_every_version(version, kind, text, year):
    dates = element(0x30, element(0x17, b"200101000000Z"), element(kind, text))
    signed = element(0x30, version, element(2, b"\x01"), element(0x30), element(0x30), dates)

    end = end_of(ssl.DER_cert_to_PEM_cert(element(0x30, signed)).encode())

    assert end == datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----",
        CERTIFICATES[0].read_bytes()[:900],
        b"\xff\xfe",
    ],
)
def test_what_is_no_certificate_has_no_end(pem):
    assert end_of(pem) is None
