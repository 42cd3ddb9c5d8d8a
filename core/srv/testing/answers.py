"""A server's answer: the bytes as they came, and their meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from srv.client.responses import read_response
from srv.messages import InferenceResponse


@dataclass(frozen=True)
class Answer:
    """One answer, good or bad. Names of headers are in lower case.

    One that came over gRPC has HTTP's status for the same outcome, and its response in place of a body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    decoded: InferenceResponse | None = None

    @property
    def ok(self) -> bool:
        """Whether the status is one of the 200s."""
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str | None:
        """The sentence of an answer that is not good, else None."""
        return None if self.ok else str(self.json["error"])

    @property
    def code(self) -> str | None:
        """The stable name of what went wrong, such as ``INVALID_INPUT``; None if nothing did."""
        return None if self.ok else str(self.json["code"])

    @property
    def response(self) -> InferenceResponse:
        """The inference response. Raises AssertionError with the server's own sentence where there is none."""
        if not self.ok:
            raise AssertionError(f"The server answered {self}, and not with an inference response.")
        if self.decoded is not None:
            return self.decoded
        return read_response(self.body, self.headers)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """The array of the output of that name."""
        response = self.response
        try:
            return response[name]
        except KeyError:
            given = ", ".join(tensor.name for tensor in response.outputs) or "none"
            raise AssertionError(f"The answer has no output '{name}'; it has {given}.") from None

    def __str__(self) -> str:
        said = self.body.decode(errors="replace")
        return f"{self.status} {said[:300]}"
