"""Bodies that are compressed: requests unpacked within the limit, answers packed for clients that ask for it."""

from __future__ import annotations

import zlib
from typing import Any

import falcon

from srv.errors import InvalidInput, TooLarge, UnsupportedMedia, quoted

#: Smaller answers are sent as they are: the header would eat what is saved.
LEAST = 1024
#: One coding's window sizes for zlib, to unpack (either form of deflate, and gzip) and to pack.
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1


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
    """The body without its content encoding. Raises UnsupportedMedia, InvalidInput, or TooLarge beyond `most` bytes."""
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
    """Falcon middleware that packs answers above 1 KiB for clients that take it. Never blocks."""

    srv_nonblocking = True

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Pack the answer where it is whole and large enough."""
        accepted = req.env.get("HTTP_ACCEPT_ENCODING")
        if not accepted:
            return
        pieces = _pieces(resp)
        if pieces is None or sum(len(piece) for piece in pieces) <= LEAST:
            return
        coding = chosen(accepted)
        if coding is None:
            return
        machine = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP if coding == "gzip" else zlib.MAX_WBITS)
        packed = b"".join([*(machine.compress(piece) for piece in pieces), machine.flush()])
        resp.stream = None
        resp.data = packed
        resp.content_length = len(packed)
        resp.set_header("Content-Encoding", coding)
        resp.append_header("Vary", "Accept-Encoding")


def chosen(accepted: str) -> str | None:
    """The coding that a client likes best of those that srv has, gzip where it does not mind; None for neither."""
    weights = {"gzip": 0.0, "deflate": 0.0}
    anything: float | None = None
    for part in accepted.lower().split(","):
        name, _, parameter = part.strip().partition(";")
        weight = _weight(parameter)
        name = name.strip()
        if name in weights:
            weights[name] = weight
        elif name == "*":
            anything = weight
    if anything is not None:
        weights = {name: weight if name in accepted.lower() else anything for name, weight in weights.items()}
    best = max(weights, key=lambda name: (weights[name], name == "gzip"))
    return best if weights[best] > 0 else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _pieces(resp: falcon.Response) -> list[Any] | None:
    """The answer's body in pieces, or None where it is a stream of unknown length."""
    if resp.data is not None:
        return [resp.data]
    stream: object = resp.stream
    return stream if isinstance(stream, list) else None
