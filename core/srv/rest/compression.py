"""Compressed bodies: requests are unpacked within the limit, responses packed for clients that ask for it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import falcon

from srv.errors import InvalidInput, TooLarge, UnsupportedMedia, quoted

#: Smaller answers are sent as they are: the header would eat what is saved.
LEAST = 1024
#: One coding's window sizes for zlib, to unpack (either form of deflate, and gzip) and to pack.
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1
#: A weight as RFC 9110 has it, of any number of digits.
_WEIGHT = re.compile(r"0(\.[0-9]*)?|1(\.0*)?")
#: Codings for responses; of two with the same weight the first is taken.
CODINGS = ("gzip", "deflate")


class WrongEncoding(UnsupportedMedia):
    """The body is encoded in a way that srv does not read."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"The content encoding {quoted(given)} is not taken; send gzip, deflate, or the body as it is."
        )


class BadCompression(InvalidInput):
    """The body is not what its content encoding says."""

    def __init__(self, encoding: str, why: str) -> None:
        super().__init__(f"The body is not {encoding}: {why}.")


def unpack(body: bytes | memoryview, encoding: str, most: int) -> bytes:
    """Return the body without its content encoding.

    Raises UnsupportedMedia, InvalidInput, or TooLarge beyond `most` bytes.
    """
    coding = encoding.strip().lower()
    if coding == "gzip" or coding == "x-gzip":
        return _inflate(body, _GZIP, "gzip", most)
    if coding != "deflate":
        raise WrongEncoding(encoding)
    # RFC 9110 means zlib's form; some clients send raw deflate. The first byte of zlib's form tells them apart.
    raw = len(body) > 0 and (body[0] & 0x0F) != zlib.DEFLATED
    return _inflate(body, -zlib.MAX_WBITS if raw else zlib.MAX_WBITS, "deflate", most)


def _inflate(body: bytes | memoryview, window: int, encoding: str, most: int) -> bytes:
    machine = zlib.decompressobj(window)
    try:
        unpacked = machine.decompress(body, most + 1)
    except zlib.error:
        raise BadCompression(encoding, "it cannot be unpacked") from None
    if len(unpacked) > most:
        raise TooLarge(most)
    if not machine.eof:
        raise BadCompression(encoding, "it ends too early")
    if machine.unused_data:
        raise BadCompression(encoding, "something follows its end")
    return unpacked


class Compression:
    """Falcon middleware that packs responses above 1 KiB for clients that take it. Never blocks."""

    srv_nonblocking = True

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Pack the response where it is whole, large enough and not packed yet, and tell caches on what that depends."""
        pieces = _pieces(resp)
        if pieces is None or sum(len(piece) for piece in pieces) <= LEAST or resp.get_header("Content-Encoding"):
            return
        resp.append_header("Vary", "Accept-Encoding")
        accepted = req.env.get("HTTP_ACCEPT_ENCODING")
        coding = chosen(accepted) if accepted else None
        if coding is None:
            return
        machine = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP if coding == "gzip" else zlib.MAX_WBITS)
        packed = b"".join([*(machine.compress(piece) for piece in pieces), machine.flush()])
        resp.stream = None
        resp.data = packed
        resp.content_length = len(packed)
        resp.set_header("Content-Encoding", coding)


def chosen(accepted: str) -> str | None:
    """Return the coding that a client prefers, gzip where it prefers none; None where it takes neither."""
    weights = _weights(accepted)
    anything = weights.get("*", 0.0)
    best = max(CODINGS, key=lambda coding: weights.get(coding, anything))
    liked = weights.get(best, anything)
    return best if liked > 0 and liked >= weights.get("identity", anything) else None


def _weights(accepted: str) -> Mapping[str, float]:
    """Return the weight of each coding in an Accept-Encoding header; one that is malformed counts as 0."""
    weights: dict[str, float] = {}
    for member in accepted.split(","):
        name, parameters = falcon.parse_header(member)
        coding = "gzip" if name.lower() == "x-gzip" else name.lower()  # RFC 9110 has the two be one
        weight = parameters.get("q", "1")
        weights[coding] = max(float(weight) if _WEIGHT.fullmatch(weight) else 0.0, weights.get(coding, 0.0))
    return weights


def _pieces(resp: falcon.Response) -> list[Any] | None:
    """Return the response's body in pieces, or None where it is a stream of unknown length."""
    if resp.data is not None:
        return [resp.data]
    stream: object = resp.stream
    return stream if isinstance(stream, list) else None
