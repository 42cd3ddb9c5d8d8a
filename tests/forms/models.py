"""What the server of these tests serves; each model is imported from here."""

import asyncio
import contextvars
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from srv import (
    Forbidden,
    InferenceRequest,
    InferenceResponse,
    InvalidInput,
    Runtime,
    Spec,
    Tensor,
    Unauthenticated,
    Unavailable,
)

OF_THE_FORM = ("binary_data_output",)  # what a form adds to a request's parameters


class Echo(Runtime):
    """Gives back what came, and its parameters."""

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        said = {name: value for name, value in request.parameters.items() if name not in OF_THE_FORM}
        return InferenceResponse(request.inputs, said)


class Hears(Runtime):
    """Tells what reached it beside the tensors."""

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        heard = {
            "id": request.id,
            "model": [request.model_name, request.model_version],
            "outputs": None if request.outputs is None else [output.name for output in request.outputs],
            "parameters": {tensor.name: dict(tensor.parameters) for tensor in request.inputs},
            "kinds": {name: type(value).__name__ for name, value in request.parameters.items()},
            "headers": dict(request.headers),
        }
        return InferenceResponse([Tensor("heard", [json.dumps(heard)])], headers={"X-Mine": "yours"})


class Answer(NamedTuple):
    total: Annotated[NDArray[np.float32], Spec(shape=(1,))]
    count: NDArray[np.int64]


class Typed(Runtime):
    """Takes what its signature declares."""

    def predict(
        self, x: Annotated[NDArray[np.float32], Spec(shape=(-1, 2))], weights: NDArray[np.float32] | None = None
    ) -> Answer:
        weighted = x if weights is None else x * weights
        return Answer(weighted.sum(keepdims=True).reshape(1), np.array([x.size]))


class Version(Runtime):
    """Tells which version it is."""

    def predict(self, request: InferenceRequest) -> list[str]:
        return [self.version or ""]


class Parameterised(NamedTuple):
    parameters: Any

    def __call__(self) -> InferenceResponse:
        return InferenceResponse([], {"p": self.parameters})


ANSWERS: dict[str, Any] = {
    "object": object,
    "complex": lambda: np.array([1j]),
    "bare tuple": lambda: (np.zeros(1), np.zeros(1)),
    "two of a name": lambda: InferenceResponse([Tensor("y", [1]), Tensor("y", [2])]),
    "null": Parameterised(None),
    "list": Parameterised([1]),
    "dict": Parameterised({"a": 1}),
    "nan": Parameterised(float("nan")),
    "long": Parameterised(2**64),
}
ERRORS: dict[str, BaseException] = {
    "invalid": InvalidInput("Too small for us."),
    "unavailable": Unavailable("Come back later."),
    "unauthenticated": Unauthenticated("Who are you?"),
    "forbidden": Forbidden("Not you."),
    "bug": ValueError("the secret of /etc/passwd"),
    "exit": SystemExit(3),
}


class Says(Runtime):
    """Raises or returns what the parameter `how` names."""

    def predict(self, request: InferenceRequest) -> Any:
        how = str(request.parameters["how"])
        if how in ERRORS:
            raise ERRORS[how]
        return ANSWERS[how]()


class Decodes(Runtime):
    """Tells what the codec made of its input."""

    def predict(self, request: InferenceRequest) -> dict[str, list[str]]:
        value = request.decode("x")
        kind = type(value[0]) if isinstance(value, list) else type(value)
        shown = [str(each.isoformat() if isinstance(each, datetime) else each) for each in value]
        return {"kind": [kind.__name__], "value": shown}


class Tables(Runtime):
    """Takes a table, and gives one with a column more."""

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(kinds=[",".join(map(str, table.columns))] * len(table))


class Words(Runtime):
    """Text in, text out."""

    def predict(self, text: list[str]) -> list[str]:
        return [word.upper() for word in text]


class Slow(Runtime):
    """Never in time."""

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        await asyncio.sleep(60)
        return InferenceResponse([])


class Narrow(Runtime):
    """One at a time, each until the file is there that the request names."""

    concurrency = 1

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        gate = Path(str(request.parameters["gate"]))
        while not gate.exists():
            time.sleep(0.005)
        return InferenceResponse(request.inputs)


class Streams(Runtime):
    """Each value by itself; what the parameter `how` names is raised after them."""

    def predict_stream(self, request: InferenceRequest) -> Any:
        for place, value in enumerate(request["x"]):
            yield InferenceResponse([Tensor("y", np.array([value]))], {"place": place})
        if "how" in request.parameters:
            raise ERRORS[str(request.parameters["how"])]


IN_STREAM = contextvars.ContextVar("IN_STREAM", default="lost")


class Plain(Runtime):
    """Streams as asyncio's own guides write it: a context variable, a timeout and a task group over the values."""

    async def predict_stream(self, request: InferenceRequest) -> Any:
        token = IN_STREAM.set("kept")
        queue: asyncio.Queue[float] = asyncio.Queue()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for value in request["x"].tolist():
                group.create_task(queue.put(value))
            for _ in request["x"]:
                value = await queue.get()
                yield {"y": np.array([value]), "var": [IN_STREAM.get()], "task": [str(id(asyncio.current_task()))]}
        IN_STREAM.reset(token)
        if "seconds" in request.parameters:
            async with asyncio.timeout(request.parameters["seconds"]):
                yield {"y": np.array([-1.0])}
                await asyncio.sleep(30)


class PlainSync(Runtime):
    """The same without asyncio."""

    def predict_stream(self, request: InferenceRequest) -> Any:
        token = IN_STREAM.set("kept")
        for value in request["x"]:
            yield {"y": np.array([value]), "var": [IN_STREAM.get()], "task": ["none"]}
        IN_STREAM.reset(token)
