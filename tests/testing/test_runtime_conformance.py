"""assert_runtime_conforms lets good runtimes pass, and tells of each bad one what is wrong and what to do."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Spec, Tensor, Unavailable
from srv.testing import Binary, Json, assert_runtime_conforms

pytestmark = pytest.mark.e2e  # each is a whole run of the kit, with threads that press a runtime for half a second
Row = Annotated[NDArray[np.float64], Spec(shape=(-1,))]
GOOD = {"x": [1.0, 2.0]}
BATCHED = {"settings": {"max_batch_size": 8, "max_batch_time": 0.001}}


class Doubler(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        return 2 * x


class Pair(NamedTuple):
    least: NDArray[np.float64]
    most: NDArray[np.float64]


class ByRequest(Runtime):
    """Declares in load, looks at what it is given, chooses outputs, is async, counts with a lock."""

    concurrency: ClassVar[int | None] = 1

    async def load(self):
        self.inputs = [Spec("FP64", (-1,), "x")]
        self.outputs = [Spec("FP64", (1,), "least"), Spec("FP64", (1,), "most")]
        self.file = self.artifact("factor.txt").open()
        self.factor = float(self.file.read())

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        x = request["x"]
        if x.dtype != np.float64 or x.ndim != 1 or not x.size:
            raise InvalidInput("Input 'x' must be some FP64 in a row.")
        await asyncio.sleep(0)
        both = {"least": x.min(keepdims=True), "most": x.max(keepdims=True)}
        asked = [output.name for output in request.outputs or ()] or ["most"]
        return InferenceResponse([Tensor(name, self.factor * both[name]) for name in asked if name in both])

    async def unload(self):
        self.file.close()


class Writes(Runtime):
    writable_inputs = True

    def predict(self, x: Row) -> NDArray[np.float64]:
        x *= 2
        return x


class Random(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        return x + np.random.default_rng().random(x.shape)


class Optional(Runtime):
    def predict(self, words: list[str], sign: list[str] | None = None) -> list[str]:
        return [word + (sign[0] if sign else "!") for word in words]


class Spread(Runtime):
    def predict(self, x: Row) -> Pair:
        if not x.size:
            raise InvalidInput("Input 'x' is empty.")
        return Pair(x.min(keepdims=True), x.max(keepdims=True))


@dataclass
class Sampling:
    temperature: float = 1.0
    stop: list[str] = field(default_factory=list)


@dataclass
class Told:
    text: str
    score: float


class Values(Runtime):
    """Takes single values, flat lists and a dataclass of them, and gives one."""

    def predict(self, prompt: str, weights: list[float], sampling: Sampling, most: int = 3) -> Told:
        return Told(prompt[:most], sum(weights) * sampling.temperature + len(sampling.stop))


VALUES = {"prompt": ["abcde"], "weights": [1.0, 2.0], "temperature": Tensor("temperature", 2.0), "stop": ["x"]}


@pytest.mark.parametrize(
    "runtime, said",
    [
        (Doubler, {"request": GOOD, "expected": {"output": [2.0, 4.0]}, "wrong": [{"x": ["a"]}, {}]}),
        (ByRequest, {"request": GOOD, "expected": {"most": [6]}, "files": {"factor.txt": "3"}, "wrong": [{"x": []}]}),
        (Writes, {"request": GOOD}),
        (Random, {"request": GOOD, "deterministic": False}),
        (Doubler, {"request": GOOD, **BATCHED}),
        (Optional, {"request": {"words": ["a", "b"]}, "expected": {"output": ["a!", "b!"]}}),
        (Optional, {"request": {"words": ["a"], "sign": ["?"]}, "expected": {"output": ["a?"]}}),
        (
            Spread,
            {"request": [Tensor("x", [3.0, 1.0])], "expected": {"least": [1.0], "most": [3.0]}, "wrong": [{"x": []}]},
        ),
        (Doubler, {"request": InferenceRequest([Tensor("x", [np.inf])]), "expected": {"output": [np.inf]}}),
        (
            Values,
            {
                "request": VALUES,
                "expected": {"text": ["abc"], "score": [7.0]},
                "wrong": [{**VALUES, "prompt": ["a", "b"]}],
            },
        ),
        (
            Values,
            {"request": {**VALUES, "most": Tensor("most", [4], "INT8")}, "expected": {"text": ["abcd"]}, **BATCHED},
        ),
    ],
    ids=[
        "signature",
        "request",
        "writes",
        "random",
        "batched",
        "optional left out",
        "optional",
        "outputs",
        "binary only",
        "values",
        "values batched",
    ],
)
def test_good_runtimes_conform(runtime, said):
    assert_runtime_conforms(runtime, **said)


def test_a_runtime_is_tried_by_its_name_once_it_is_installed(isolated_plugins):
    isolated_plugins(runtimes={"doubler": Doubler})
    assert_runtime_conforms("doubler", request=GOOD)


class Broken(Runtime):
    def load(self):
        raise OSError("no disk")

    def predict(self, x: Row) -> NDArray[np.float64]:
        return x


class Raises(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        raise ZeroDivisionError("half of nothing")


class Three(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        return 3 * x


class WrongShape(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        return 2 * x[:1]


class Misnamed(Runtime):
    def predict(self, x: Row) -> dict[str, object]:
        return {"y": 2 * x}


class Forgetful(Runtime):
    """Writes into what it gives back."""

    def load(self):
        self.sum = np.zeros(2)

    def predict(self, request):
        if request["x"].shape == (2,):
            self.sum += request["x"]
        return self.sum


class DeclaresAnotherInput(Runtime):
    def load(self):
        self.inputs = [Spec("FP64", (-1,), "y")]

    def predict(self, request):
        return request["x"]


class DeclaresAnotherDatatype(Runtime):
    def load(self):
        self.inputs = [Spec("FP32", (-1,), "x")]

    def predict(self, request):
        return request["x"]


class DeclaresAnotherShape(Runtime):
    def load(self):
        self.outputs = [Spec("FP64", (-1, 1), "output")]

    def predict(self, x: np.ndarray):
        return x


class DeclaresNoOutput(Runtime):
    def load(self):
        self.outputs = [Spec("FP64", (-1,), "other")]

    def predict(self, x: np.ndarray):
        return x


class PromisesAnOutput(Runtime):
    def load(self):
        self.outputs = [Spec("FP64", (-1,), "output"), Spec("FP64", (-1,), "never")]

    def predict(self, x: np.ndarray):
        return x


class NoSuchDatatype(Runtime):
    def load(self):
        self.outputs = [Spec("float64", (-1,), "output")]

    def predict(self, x: np.ndarray):
        return x


class TakesAnyShape(Runtime):
    def predict(self, x: NDArray[np.float64]):
        return np.array([x[0]])


class LooksUp(Runtime):
    def predict(self, request):
        return [["a", "b"][int(place)] for place in request["x"]]


class RefusesNothing(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        return x


class BlamesItself(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        if not x.size:
            raise Unavailable("Not now.")
        return x


class KeepsARequest(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        self.x = x
        time.sleep(0.0005)
        return 2 * self.x


class MixesRows(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        return x - x.mean() if x.size else x


class NotAtOnce(Runtime):
    def load(self):
        self.busy = threading.Lock()

    def predict(self, x: Row) -> NDArray[np.float64]:
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("busy")
        time.sleep(0.0005)
        self.busy.release()
        return 2 * x


class RemembersInItsClass(Runtime):
    loads: ClassVar[int] = 0

    def load(self):
        type(self).loads += 1

    def predict(self, x: Row) -> NDArray[np.float64]:
        return self.loads * x


class LoadsOnce(Runtime):
    loaded: ClassVar[bool] = False

    def load(self):
        if self.loaded:
            raise RuntimeError("there can be only one")
        type(self).loaded = True

    def predict(self, x: Row) -> NDArray[np.float64]:
        return x


class ConsumesItsFile(Runtime):
    def load(self):
        self.artifact("factor.txt").unlink()

    def predict(self, x: Row) -> NDArray[np.float64]:
        return x


class FailsToUnload(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        return x

    def unload(self):
        raise OSError("still open")


class FailsToUnloadLater(FailsToUnload):
    async def unload(self):
        await asyncio.sleep(0)
        raise OSError("still open")


class TearsDownItsClass(Runtime):
    shared: ClassVar[list[float]] = []

    def load(self):
        self.shared[:] = [2.0]

    def predict(self, x: Row) -> NDArray[np.float64]:
        return self.shared[0] * x

    def unload(self):
        self.shared.clear()


class WritesWhereItMayNot(Runtime):
    def predict(self, x: Row) -> NDArray[np.float64]:
        x *= 2
        return x


class GivesNoText(Runtime):
    def predict(self, x: Row):
        return Tensor("y", [b"\xff"])


@pytest.mark.parametrize(
    "runtime, said, sentence",
    [
        (Broken, {}, r"was not loaded: .*OSError: no disk"),
        (
            Raises,
            {},
            r"answers `request` in JSON with 500(?s:.*)ZeroDivisionError: half of nothing \(test_runtime_conf",
        ),
        (Three, {"expected": {"output": [2.0, 4.0]}}, r"something else than is expected: 'output' is \[3\., 6\.\]"),
        (WrongShape, {"expected": {"output": [2.0, 4.0]}}, r"'output' has the shape \[1\] and not \[2\]"),
        (Misnamed, {"expected": {"output": [2.0]}}, "gives no output 'output', which is expected; it gives y"),
        (Forgetful, {}, r"the same request differently the second time(?s:.*)say deterministic=False"),
        (Random, {}, "the same request differently the second time"),
        (DeclaresAnotherInput, {}, "takes the input 'x', but declares y"),
        (DeclaresAnotherDatatype, {}, r"FP32"),
        (DeclaresAnotherShape, {}, r"gives 'output' as FP64 \[2\], but declares FP64 \[-1, 1\]"),
        (DeclaresNoOutput, {}, "gives the output 'output', but declares other"),
        (
            PromisesAnOutput,
            {},
            "declares the output 'never' and answers who asks for it with 500 .*gave no output 'never'",
        ),
        (NoSuchDatatype, {}, "float64"),
        (
            TakesAnyShape,
            {},
            r"the input 'x' with no rows in JSON with 500(?s:.*)raise srv\.InvalidInput(?s:.*)IndexError",
        ),
        (LooksUp, {"request": {"x": [1]}}, r"answers the input 'x' .* with 500(?s:.*)raise srv\.InvalidInput"),
        (RefusesNothing, {"wrong": [{"x": [-1.0]}]}, r"answers wrong\[0\] in JSON with 200, and should refuse it"),
        (BlamesItself, {}, r"with no rows in JSON with 503 .*Not now"),
        (KeepsARequest, {}, r"wrongly when 8 threads ask at once(?s:.*)in local variables(?s:.*)concurrency = 1"),
        (MixesRows, BATCHED, r"requests as one differently than each alone: 'output' is (?s:.*)each row by itself"),
        (NotAtOnce, {}, r"wrongly when 8 threads ask at once: one gets 500(?s:.*)RuntimeError: busy"),
        (RemembersInItsClass, {}, r"answers differently after it was loaded anew(?s:.*)or in its class"),
        (LoadsOnce, {}, "could not be loaded again while it served: .*there can be only one"),
        (ConsumesItsFile, {"files": {"factor.txt": "2"}}, "could not be loaded again while it served"),
        (FailsToUnload, {}, "failed in unload after another was loaded in its place: OSError: still open"),
        (FailsToUnloadLater, {}, "failed in unload after another was loaded in its place: OSError: still open"),
        (TearsDownItsClass, {}, "answers `request` with 500 .*after it was loaded anew"),
        (WritesWhereItMayNot, {}, "read-only"),
        (GivesNoText, {}, "not UTF-8 text, which JSON needs"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_bad_runtime_is_told_what_is_wrong_with_it(runtime, said, sentence):
    if "loaded" in vars(runtime):
        runtime.loaded = False
    with pytest.raises(AssertionError, match=sentence) as raised:
        assert_runtime_conforms(runtime, **{"request": GOOD, **said})
    assert str(raised.value).startswith(f"{runtime.__name__} ")


def test_an_output_that_is_no_text_is_right_in_the_forms_that_carry_it():
    assert_runtime_conforms(GivesNoText, request=GOOD, forms=[Binary()])


def test_a_request_that_no_form_carries_is_said_to_be_one():
    with pytest.raises(AssertionError, match="`request`, which none of JSON carries"):
        assert_runtime_conforms(Doubler, request={"x": [np.inf]}, forms=[Json()])


def test_threads_take_turns_as_before_when_all_is_done():
    interval = sys.getswitchinterval()
    assert_runtime_conforms(Doubler, request=GOOD)
    assert sys.getswitchinterval() == interval


class Pieces(Runtime):
    """Answers with a stream and in no other way."""

    def predict_stream(self, text: list[str]) -> Iterator[list[str]]:
        if len(text) != 1:
            raise InvalidInput("One text is taken.")
        for word in text[0].split():
            yield [word]


def test_a_runtime_that_only_streams_conforms():
    expected = [{"output": ["one"]}, {"output": ["two"]}]
    assert_runtime_conforms(Pieces, request={"text": ["one two"]}, expected=expected, wrong=[{"text": ["a", "b"]}])


class AsyncPieces(Runtime):
    async def predict_stream(self, x: NDArray[np.float64]) -> AsyncIterator[NDArray[np.float64]]:
        for place in range(3):
            yield x + place


def test_an_async_runtime_that_only_streams_conforms():
    assert_runtime_conforms(AsyncPieces, request={"x": [1.0]}, expected=[{"output": [one]} for one in (1.0, 2.0, 3.0)])


@pytest.mark.parametrize(
    "expected, sentence",
    [
        ([{"output": ["one"]}], "gives in a stream of JSON 2 responses and not 1"),
        ([{"output": ["one"]}, {"output": ["three"]}], "something else than is expected"),
        ([{"output": ["one"]}, {"other": ["two"]}], "gives no output 'other', which is expected"),
        ({"output": ["one"]}, "gives in a stream of JSON 2 responses and not 1"),
    ],
)
def test_a_stream_that_is_not_as_expected_is_told(expected, sentence):
    with pytest.raises(AssertionError, match=sentence):
        assert_runtime_conforms(Pieces, request={"text": ["one two"]}, expected=expected)


class Fragile(Runtime):
    def predict_stream(self, x: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        yield x[:1]
        yield np.array([x[0]])


def test_a_stream_that_fails_in_its_middle_is_told():
    with pytest.raises(AssertionError, match=r"Fragile answers .* in a stream of JSON with 500"):
        assert_runtime_conforms(Fragile, request={"x": [1.0, 2.0]})


def test_a_list_is_expected_of_runtimes_that_only_stream():
    with pytest.raises(TypeError, match="a list is for runtimes that only stream"):
        assert_runtime_conforms(Doubler, request={"x": [1.0]}, expected=[{"output": [2.0]}])
