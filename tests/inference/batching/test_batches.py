import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from numpy.typing import NDArray

from srv.cancellation import Caller
from srv.errors import ClientLeft, DeadlinePassed, InvalidInput, Unavailable
from srv.inference.batching.batches import MAX_FRUITLESS_WAITS, RETRY_EVERY, RowsLost
from srv.inference.execution import ModelBusy, ModelGone
from srv.inference.model_failures import PredictFailed
from srv.inference.pipeline import prepare
from srv.messages import InferenceRequest, InferenceResponse, RequestedOutput
from srv.metrics_types import Stages
from srv.model_settings import ModelSettings, Spec
from srv.models.registry import ModelState, ModelVersion, Registry
from srv.planes.dataplane import DataPlane
from srv.runtime import Runtime
from srv.settings import ServerSettings
from srv.tensors import Tensor

PATIENCE = 10.0


@pytest.fixture
def serve(codecs, loop, tmp_path):
    """Makes a model that takes batches of eight rows, and a crowd that asks it."""
    crowds = []

    def make(runtime_class, **settings):
        settings = {"max_batch_size": 8, "max_batch_time": PATIENCE, **settings}
        model = ModelVersion(ModelSettings(name="m", implementation="m.M", **settings))
        model.runtime = runtime_class(model.settings)
        prepare(model, model.runtime, codecs=codecs, loop=loop, settings=ServerSettings(folder=tmp_path))
        crowds.append(Crowd(model))
        return crowds[-1]

    yield make
    for crowd in crowds:
        crowd.runtime.gate.set()
        crowd.pool.shutdown()


class Crowd:
    """Threads that ask one model, and know when they wait."""

    def __init__(self, model):
        self.model = model
        self.runtime = model.runtime
        self.batching = model.answer.batching
        self.pool = ThreadPoolExecutor(40)

    def ask(self, *values, deadline=None, caller=None, stages=None, **said):
        """Ask in a thread of its own, and come back when the request runs or waits."""
        tensor = values[0] if values and isinstance(values[0], Tensor) else floats(*values)
        return self.send(InferenceRequest([tensor], **said), deadline=deadline, caller=caller, stages=stages)

    def send(self, request, *, deadline=None, caller=None, stages=None):
        request.caller = caller or request.caller
        seconds = None if deadline is None else time.monotonic() + deadline
        return self.hand_over(self.model.answer, request, seconds, stages or Stages())

    def hand_over(self, answer, *arguments):
        """Have a thread ask, and come back when the request runs or waits."""
        entered, waiting = self.runtime.entered, self.batching.waiting
        asked = self.pool.submit(answer, *arguments)
        eventually(lambda: asked.done() or self.runtime.entered > entered or self.batching.waiting > waiting)
        return asked

    def occupy(self):
        """One request runs until the gate opens, so that the next ones gather."""
        self.runtime.gate.clear()
        return self.ask(0.0)


class Doubles(Runtime):
    """Remembers what it was given; waits at a gate that a test may shut."""

    def __init__(self, settings):
        super().__init__(settings)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = 0
        self.seen = []

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.begin(x)
        return 2 * x

    def begin(self, x):
        self.seen.append(x.tolist())
        self.entered += 1
        assert self.gate.wait(PATIENCE)


def floats(*values, name="x"):
    return Tensor(name, np.array(values, np.float32))


def outputs(asked):
    return [each.result(PATIENCE).outputs[0].data.tolist() for each in asked]


def eventually(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.0005)


# -- how batches form --------------------------------------------------------------------------------------------------


def test_who_comes_while_the_model_runs_runs_as_one_and_each_gets_its_own_rows(serve):
    crowd = serve(Doubles)
    first = crowd.occupy()
    others = [crowd.ask(1, 2), crowd.ask(3), crowd.ask(4, 5, 6)]

    crowd.runtime.gate.set()

    assert outputs([first, *others]) == [[0], [2, 4], [6], [8, 10, 12]]
    assert crowd.runtime.seen == [[0], [1, 2, 3, 4, 5, 6]]


def test_who_comes_alone_waits_for_nobody(serve):
    crowd = serve(Doubles)
    assert outputs([crowd.ask(1)]) == [[2]]


def test_a_full_batch_does_not_wait(serve):
    crowd = serve(Doubles, max_batch_size=3)
    first = crowd.occupy()
    full = [crowd.ask(1), crowd.ask(2, 3)]

    eventually(lambda: crowd.runtime.entered == 2)

    assert not first.done()
    crowd.runtime.gate.set()
    assert outputs(full) == [[2], [4, 6]]


def test_a_batch_waits_no_longer_than_it_may(serve):
    crowd = serve(Doubles, max_batch_time=0.01)
    crowd.occupy()
    crowd.ask(1)
    eventually(lambda: crowd.runtime.entered == 2)
    assert crowd.runtime.seen == [[0], [1]]


def test_without_a_time_batches_are_of_those_who_wait_for_the_models_concurrency(serve):
    crowd = serve(Doubles, max_batch_time=0.0, concurrency=1)
    crowd.occupy()
    asked = [crowd.ask(value) for value in (1, 2, 3)]

    crowd.runtime.gate.set()

    assert outputs(asked) == [[2], [4], [6]]
    assert crowd.runtime.seen == [[0], [1, 2, 3]]


def test_without_a_time_and_with_any_concurrency_nobody_waits(serve):
    crowd = serve(Doubles, max_batch_time=0.0)
    crowd.occupy()
    crowd.ask(1)
    crowd.ask(2)
    assert crowd.runtime.seen == [[0], [1], [2]]


def test_as_many_batches_run_at_once_as_concurrency_allows(serve):
    crowd = serve(Doubles, max_batch_size=2, concurrency=2)
    crowd.occupy()
    crowd.ask(1), crowd.ask(2)
    eventually(lambda: crowd.runtime.entered == 2)
    waiting = [crowd.ask(3), crowd.ask(4)]

    assert crowd.runtime.entered == 2
    crowd.runtime.gate.set()
    assert outputs(waiting) == [[6], [8]]
    assert crowd.runtime.seen == [[0], [1, 2], [3, 4]]


def test_what_has_more_rows_than_a_batch_runs_alone(serve):
    crowd = serve(Doubles, max_batch_size=2)
    stages = Stages()
    first = crowd.occupy()
    crowd.ask(1)
    large = crowd.ask(1, 2, 3, stages=stages)
    assert crowd.runtime.seen == [[0], [1, 2, 3]]

    crowd.runtime.gate.set()

    assert outputs([first, large]) == [[0], [2, 4, 6]]
    assert (stages.elements, stages.executions, stages.batch) == (3, 1, 0)  # not by size, because clients choose it


def test_a_batch_without_room_goes_and_the_next_begins(serve):
    crowd = serve(Doubles, max_batch_size=4)
    crowd.occupy()
    crowd.ask(1, 2, 3)
    last = crowd.ask(4, 5)
    eventually(lambda: crowd.runtime.entered == 2)

    crowd.runtime.gate.set()

    assert outputs([last]) == [[8, 10]]
    assert crowd.runtime.seen == [[0], [1, 2, 3], [4, 5]]


def test_leaders_to_whom_nobody_ever_came_stop_waiting_but_try_again(serve):
    crowd = serve(Doubles, max_batch_time=0.001)
    crowd.occupy()
    for _ in range(MAX_FRUITLESS_WAITS):
        crowd.ask(1)
        eventually(lambda: not crowd.batching.waiting)
    assert [crowd.batching._should_wait() for _ in range(2 * RETRY_EVERY)].count(True) == 2


# -- what is merged ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        InferenceRequest([floats(1, name="y")]),
        InferenceRequest([Tensor("x", np.array([1.0]))]),
        InferenceRequest([Tensor("x", np.array([[1.0]], np.float32))]),
        InferenceRequest([floats(1)], parameters={"scale": 1}),
        InferenceRequest([floats(1)], parameters={"scale": 1.0}),
        InferenceRequest([floats(1)], parameters={"scale": True}),
        InferenceRequest([floats(1)], parameters={"scale": "1"}),
        InferenceRequest([Tensor("x", np.array([1], np.float32), parameters={"unit": "m"})]),
        InferenceRequest([floats(1)], outputs=["output"]),
        InferenceRequest([floats(1)], outputs=[RequestedOutput("output", {"content_type": "np"})]),
        InferenceRequest([floats(1), floats(1, name="y")]),
    ],
    ids=["name", "datatype", "shape", "int", "float", "bool", "text", "of an input", "outputs", "output's", "more"],
)
def test_what_is_not_alike_goes_into_another_batch(serve, other):
    class Any(Doubles):
        def predict(self, request):
            self.begin(request.inputs[0].data)
            return request.inputs[0].data

    crowd = serve(Any)
    crowd.occupy()
    asked = [crowd.ask(1), crowd.ask(2), crowd.send(InferenceRequest([floats(3)], parameters={"scale": 2})),
             crowd.send(other)]  # fmt: skip

    crowd.runtime.gate.set()

    outputs(asked)
    assert sorted(map(len, crowd.runtime.seen)) == [1, 1, 1, 2]


@pytest.mark.parametrize(
    "alone",
    [
        InferenceRequest([Tensor("x", np.array(1.0))]),
        InferenceRequest([floats(1), floats(1, 2, name="y")]),
        InferenceRequest([]),
        InferenceRequest([Tensor("x", np.empty((0,), np.float32))]),
        InferenceRequest([floats(1)], parameters={"of a hook": object()}),
    ],
    ids=["scalar", "other lengths", "no inputs", "no rows", "no parameter of the protocol"],
)
def test_what_has_no_rows_to_merge_runs_alone(serve, alone):
    class Counts(Doubles):
        def predict(self, request):
            self.begin(np.zeros(0))
            return np.zeros([len(tensor.data) for tensor in request.inputs[:1] if tensor.shape] or [1])

    crowd = serve(Counts)
    crowd.occupy()
    crowd.send(alone)
    assert crowd.runtime.entered == 2


def test_in_which_form_the_answer_goes_out_keeps_nobody_apart(serve):
    crowd = serve(Doubles)
    crowd.occupy()
    asked = [
        crowd.ask(1, parameters={"binary_data_output": True}),
        crowd.ask(2),
        crowd.ask(3, parameters={"binary_data_output": False}),
    ]

    crowd.runtime.gate.set()

    assert outputs(asked) == [[2], [4], [6]]
    assert crowd.runtime.seen == [[0], [1, 2, 3]]


def test_texts_are_merged_too(serve):
    class Shouts(Doubles):
        def predict(self, words: list[str]) -> list[str]:
            self.begin(np.array(words))
            return [word.upper() for word in words]

    crowd = serve(Shouts)
    crowd.runtime.gate.clear()
    asked = [crowd.ask(Tensor("words", words)) for words in (["a"], ["ü", "b\x00"], [""])]

    crowd.runtime.gate.set()

    assert outputs(asked) == [[b"A"], ["Ü".encode(), b"B\x00"], [b""]]
    assert crowd.runtime.entered == 2


def test_tables_are_merged_before_they_are_read(serve):
    class Sums(Doubles):
        def predict(self, table: pd.DataFrame) -> NDArray[np.float64]:
            self.begin(table)
            return (table["a"] + table["b"]).to_numpy()

        def begin(self, table):
            super().begin(table.to_numpy())

    crowd = serve(Sums)
    crowd.runtime.gate.clear()

    def table(*rows):
        a, b = zip(*rows, strict=True)
        return InferenceRequest([Tensor("a", np.array(a)), Tensor("b", np.array(b))], parameters={"content_type": "pd"})

    asked = [crowd.send(each) for each in (table((0, 0)), table((1, 10)), table((2, 20), (3, 30)))]
    crowd.runtime.gate.set()

    assert outputs(asked) == [[0], [11], [22, 33]]
    assert crowd.runtime.entered == 2


def test_a_runtime_that_writes_has_a_batch_of_its_own(serve):
    class Writes(Doubles):
        writable_inputs = True

        def predict(self, x: np.ndarray) -> np.ndarray:
            self.begin(x)
            x *= 2
            return x

    crowd = serve(Writes)
    crowd.occupy()
    tensors = [floats(1), floats(2)]
    asked = [crowd.ask(tensor) for tensor in tensors]

    crowd.runtime.gate.set()

    assert outputs(asked) == [[2], [4]]
    assert [tensor.data.tolist() for tensor in tensors] == [[1], [2]]


def test_predict_sees_no_id_and_no_headers_of_one_request_not_even_of_one_alone(serve):
    class Looks(Doubles):
        def predict(self, request):
            self.begin(request["x"])
            self.looked.append((request.id, dict(request.headers), request.model_name))
            return request["x"]

    crowd = serve(Looks)
    crowd.runtime.looked = []
    crowd.occupy()
    asked = [crowd.ask(1, id="a", headers={"a": "1"}), crowd.ask(2, id="b", headers={"b": "1"})]

    crowd.runtime.gate.set()

    assert outputs(asked) == [[1], [2]]
    assert crowd.runtime.looked == [(None, {}, "")] * 2


def test_what_a_response_says_beside_its_rows_is_said_to_everybody_in_words_of_their_own(serve):
    class Says(Doubles):
        def predict(self, request):
            self.begin(request["x"])
            return InferenceResponse(
                [Tensor("y", request["x"], parameters={"unit": "m"})], parameters={"took": 1}, headers={"x-a": "b"}
            )

    crowd = serve(Says)
    crowd.occupy()
    one, other = (each.result(PATIENCE) for each in [crowd.ask(1), crowd.ask(2), crowd.runtime.gate.set()][:2])

    assert one.parameters == other.parameters == {"took": 1}
    assert one.headers == other.headers == {"x-a": "b"}
    assert one.outputs[0].parameters == other.outputs[0].parameters == {"unit": "m"}
    one.parameters["mine"] = one.outputs[0].parameters["mine"] = True
    assert "mine" not in other.parameters
    assert "mine" not in other.outputs[0].parameters


def test_each_gets_the_outputs_that_it_asked_for(serve):
    class Two(Doubles):
        def predict(self, x: np.ndarray):
            self.begin(x)
            return {"a": x, "b": -x}

    crowd = serve(Two)
    crowd.occupy()
    asked = [crowd.ask(1, outputs=["b"]), crowd.ask(2, outputs=["b"]), crowd.ask(3)]
    crowd.runtime.gate.set()

    names = [[tensor.name for tensor in each.result(PATIENCE).outputs] for each in asked]
    assert names == [["b"], ["b"], ["a", "b"]]
    assert outputs(asked) == [[-1], [-2], [3]]


def test_async_predicts_run_in_batches_too(serve):
    class Async(Doubles):
        async def predict(self, x: np.ndarray) -> np.ndarray:
            self.seen.append(x.tolist())
            self.entered += 1
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
            return 2 * x

    crowd = serve(Async)
    asked = [crowd.occupy(), crowd.ask(1), crowd.ask(2)]
    crowd.runtime.gate.set()

    assert outputs(asked) == [[0], [2], [4]]
    assert crowd.runtime.seen == [[0], [1, 2]]


def test_a_model_whose_input_has_a_fixed_length_is_not_batched_and_says_so(serve, caplog):
    crowd = serve(Doubles, inputs=(Spec("FP32", (1,), "x"),))
    assert crowd.batching is None
    assert "'x' is declared without -1 as the first length" in caplog.text


# -- when something goes wrong -----------------------------------------------------------------------------------------


class Picky(Doubles):
    def predict(self, x: np.ndarray) -> np.ndarray:
        self.begin(x)
        if (x == 13).any():
            raise InvalidInput("No 13, please.")
        if (x == 14).any():
            raise ValueError("14")
        return 2 * x


@pytest.mark.parametrize("concurrency", [None, 1])
@pytest.mark.parametrize("bad, error", [(13, InvalidInput), (14, PredictFailed)])
def test_one_bad_request_does_not_spoil_its_neighbours(serve, bad, error, concurrency):
    crowd = serve(Picky, concurrency=concurrency)
    crowd.occupy()
    asked = [crowd.ask(1), crowd.ask(bad), crowd.ask(2), crowd.ask(3)]

    crowd.runtime.gate.set()

    assert outputs([asked[0], *asked[2:]]) == [[2], [4], [6]]
    assert isinstance(asked[1].exception(PATIENCE), error)
    assert crowd.runtime.seen[1] == [1, bad, 2, 3]
    assert sorted(crowd.runtime.seen[2:]) == [[1], [2], [3], [bad]]


def test_who_has_left_when_a_batch_failed_does_not_run_alone(serve):
    class Fails(Doubles):
        def predict(self, x: np.ndarray) -> np.ndarray:
            self.begin(x)
            if len(x) > 1:
                caller.left = True  # without a word to the thread that waits
                raise ValueError
            return x

    crowd = serve(Fails)
    caller = Caller()
    crowd.occupy()
    asked = [crowd.ask(1), crowd.ask(2, caller=caller)]
    crowd.runtime.gate.set()

    assert outputs(asked[:1]) == [[1]]
    assert isinstance(asked[1].exception(PATIENCE), ClientLeft)
    assert crowd.runtime.seen == [[0], [1, 2], [1]]


def test_that_a_model_is_not_available_is_said_to_all_without_trying_again(serve):
    class Away(Doubles):
        def predict(self, x: np.ndarray) -> np.ndarray:
            self.begin(x)
            if len(x) > 1:
                raise Unavailable("Not now.")
            return x

    crowd = serve(Away)
    crowd.occupy()
    asked = [crowd.ask(1), crowd.ask(2)]
    crowd.runtime.gate.set()

    assert [type(each.exception(PATIENCE)) for each in asked] == [Unavailable] * 2
    assert crowd.runtime.entered == 2


@pytest.mark.parametrize("answer", [lambda x: x[:1], lambda x: x.sum()], ids=["fewer rows", "a scalar"])
def test_a_batch_with_other_rows_than_were_given_is_an_error_for_all(serve, answer):
    class Loses(Doubles):
        def predict(self, request):
            self.begin(request["x"])
            return {"fine": request["x"], "lost": np.asarray(answer(request["x"]))}

    crowd = serve(Loses)
    crowd.occupy()
    asked = [crowd.ask(1, 2), crowd.ask(3, 4)]
    crowd.runtime.gate.set()

    for each in asked:
        with pytest.raises(RowsLost, match="got 4 rows, but its output 'lost' has the shape"):
            each.result(PATIENCE)
    assert crowd.runtime.entered == 2


def test_a_model_that_loses_rows_is_told_so_at_the_first_request_already(serve):
    class Sums(Doubles):
        def predict(self, x: np.ndarray) -> np.ndarray:
            return x.sum(keepdims=True)

    with pytest.raises(RowsLost, match="got 2 rows"):
        serve(Sums).model.answer(InferenceRequest([floats(1, 2)]), None)


def test_what_is_wrong_with_a_request_itself_is_told_before_it_waits(serve):
    crowd = serve(Doubles)
    crowd.occupy()
    with pytest.raises(InvalidInput, match="unknown"):
        crowd.ask(Tensor("z", [1.0])).result(PATIENCE)


# -- deadlines and callers that leave ----------------------------------------------------------------------------------


def test_a_request_whose_deadline_passes_in_the_queue_never_runs(serve):
    crowd = serve(Doubles)
    crowd.occupy()
    leader, follower, other = crowd.ask(1, deadline=0.02), crowd.ask(2, deadline=0.03), crowd.ask(3)

    for late in (leader, follower):
        assert isinstance(late.exception(PATIENCE), DeadlinePassed)
    crowd.runtime.gate.set()

    assert outputs([other]) == [[6]]
    assert crowd.runtime.seen == [[0], [3]]
    assert crowd.batching.waiting == 0


def test_a_leader_that_waits_for_a_place_hands_its_batch_on(serve):
    crowd = serve(Doubles, max_batch_time=0.0, concurrency=1)
    crowd.occupy()
    leader, follower = crowd.ask(1, deadline=0.02), crowd.ask(2)

    assert isinstance(leader.exception(PATIENCE), DeadlinePassed)
    assert crowd.batching.waiting == 1
    crowd.runtime.gate.set()

    assert outputs([follower]) == [[4]]
    assert crowd.runtime.seen == [[0], [2]]


@pytest.mark.parametrize("place", ["leader", "follower"])
def test_a_request_whose_client_leaves_in_the_queue_never_runs(serve, place):
    crowd = serve(Doubles)
    crowd.occupy()
    caller = Caller()
    callers = [caller, None] if place == "leader" else [None, caller]
    asked = [crowd.ask(1, caller=callers[0]), crowd.ask(2, caller=callers[1])]

    caller.leave()
    crowd.runtime.gate.set()

    left, other = asked if place == "leader" else reversed(asked)
    assert isinstance(left.exception(PATIENCE), ClientLeft)
    other.result(PATIENCE)
    assert crowd.runtime.seen[1] == ([2] if place == "leader" else [1])


def test_a_deadline_that_passes_while_a_batch_runs_ends_the_waiting(serve):
    crowd = serve(Doubles, max_batch_size=2)
    crowd.occupy()
    crowd.ask(1)
    late = crowd.ask(2, deadline=0.5)
    eventually(lambda: crowd.runtime.entered == 2)

    assert isinstance(late.exception(PATIENCE), DeadlinePassed)
    assert not crowd.runtime.gate.is_set()


def test_an_async_batch_is_cancelled_when_all_deadlines_have_passed(serve):
    class Async(Doubles):
        cancelled = False

        async def predict(self, x: np.ndarray) -> np.ndarray:
            self.seen.append(x.tolist())
            self.entered += 1
            try:
                while x.any() or not self.gate.is_set():
                    await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                self.cancelled = True
                raise
            return x

    crowd = serve(Async)
    asked = [crowd.occupy(), crowd.ask(1, deadline=1.0), crowd.ask(2, deadline=0.9)]
    crowd.runtime.gate.set()

    assert isinstance(asked[1].exception(PATIENCE), DeadlinePassed)
    assert isinstance(asked[2].exception(PATIENCE), DeadlinePassed)
    assert crowd.runtime.seen == [[0], [1, 2]]
    eventually(lambda: crowd.runtime.cancelled)


# -- the queue ---------------------------------------------------------------------------------------------------------


def test_who_finds_the_queue_full_is_refused(serve):
    crowd = serve(Doubles, max_queue=2)
    crowd.occupy()
    waiting = [crowd.ask(1), crowd.ask(2)]

    with pytest.raises(ModelBusy, match="2 requests wait for it already"):
        crowd.ask(3).result(PATIENCE)

    crowd.runtime.gate.set()
    assert outputs(waiting) == [[2], [4]]


def test_who_waits_for_a_place_counts_once(serve):
    crowd = serve(Doubles, max_queue=3, max_batch_time=0.0, concurrency=1)
    crowd.occupy()
    waiting = [crowd.ask(value) for value in (1, 2, 3)]

    assert crowd.batching.waiting == 3
    with pytest.raises(ModelBusy):
        crowd.ask(4).result(PATIENCE)

    crowd.runtime.gate.set()
    assert outputs(waiting) == [[2], [4], [6]]


# -- unloading ---------------------------------------------------------------------------------------------------------


def test_who_waits_when_the_model_is_unloaded_is_answered_and_who_comes_then_is_not(serve):
    crowd = serve(Doubles)
    crowd.occupy()
    waiting = [crowd.ask(1), crowd.ask(2)]
    unloading = crowd.pool.submit(crowd.model.wait_idle)
    eventually(lambda: crowd.model.answer.execution._gone)

    with pytest.raises(ModelGone):
        crowd.ask(3).result(PATIENCE)
    assert not unloading.done()
    crowd.runtime.gate.set()

    assert outputs(waiting) == [[2], [4]]
    unloading.result(PATIENCE)


# -- statistics --------------------------------------------------------------------------------------------------------


def test_elements_are_counted_with_each_request_and_an_execution_once(serve):
    crowd = serve(Doubles)
    stages = [Stages() for _ in range(4)]
    asked = [crowd.occupy(), crowd.ask(1, 2, stages=stages[1]), crowd.ask(3, stages=stages[2])]

    crowd.runtime.gate.set()

    outputs(asked)
    assert [each.elements for each in stages[1:3]] == [2, 1]
    assert sum(each.executions for each in stages[1:3]) == 1
    assert sum(each.batch for each in stages[1:3]) == 3
    assert all(each.queue > 0 for each in stages[1:3])
    assert stages[1].infer == stages[2].infer > 0


def test_hooks_ids_and_statistics_are_each_requests_own(serve):
    crowd = serve(Doubles)
    crowd.model.state = ModelState.READY
    heard = []
    plane = DataPlane(
        Registry(),
        server_name="s",
        request_timeout=PATIENCE,
        before=[("p", lambda model, request: heard.append(f"{request.id} {request.headers['who']}"))],
        after=[("p", lambda model, request, response, *_: heard.append(f"{request.id} {response['output']}"))],
    )
    plane.registry.put(crowd.model)

    def ask(value, name):
        return crowd.hand_over(
            plane.infer, "m", None, InferenceRequest([floats(value)], id=name, headers={"who": name})
        )

    crowd.runtime.gate.clear()
    asked = [ask(0, "a"), ask(1, "b"), ask(2, "c")]
    crowd.runtime.gate.set()

    assert [each.result(PATIENCE).id for each in asked] == ["a", "b", "c"]
    assert heard[:3] == ["a a", "b b", "c c"]
    assert sorted(heard[3:]) == ["a [0.]", "b [2.]", "c [4.]"]
    (row,) = plane.statistics("m")
    assert (row["inference_count"], row["execution_count"], row["inference_stats"]["success"]["count"]) == (3, 2, 3)
    assert [(each["batch_size"], each["compute_infer"]["count"]) for each in row["batch_stats"]] == [(1, 1), (2, 1)]


# -- all of it ---------------------------------------------------------------------------------------------------------


class Mixed(Doubles):
    """Works row by row, and refuses some rows."""

    def predict(self, request):
        self.begin(np.zeros(0))
        scale = request.parameters.get("scale", 1)
        outputs = []
        for tensor in request.inputs:
            if tensor.datatype == "BYTES":
                flat = [value + b"!" for value in tensor.data.reshape(-1)]
                outputs.append(Tensor(f"{tensor.name}_out", np.array(flat, object).reshape(tensor.shape)))
                continue
            if (tensor.data == 13).any():
                raise InvalidInput("No 13, please.")
            if (tensor.data == 14).any():
                raise ValueError
            outputs.append(Tensor(f"{tensor.name}_out", tensor.data * np.array(scale).astype(tensor.data.dtype)))
        return InferenceResponse(outputs, parameters={"scale": scale})


def mostly(usual, *others):
    return st.sampled_from([*[usual] * 8, *others])


@st.composite
def requests(draw):
    shape = (draw(mostly(1, 0, 2, 3, 5)), *draw(mostly((), (2,))))
    tensors = []
    for name in draw(mostly("x", "xz")):
        size = int(np.prod(shape))
        kind = draw(mostly("FP32", "INT64", "BYTES"))
        numbers = draw(st.lists(mostly(1, 2, 3, 13, 14), min_size=size, max_size=size))
        values = [str(number).encode() for number in numbers] if kind == "BYTES" else numbers
        tensors.append(Tensor(name, values, kind, shape) if size else Tensor(name, np.empty(shape, np.float32)))
    return {
        "inputs": tensors,
        "outputs": draw(mostly(None, ["x_out"], ["y_out"])),
        "parameters": draw(mostly({}, {"scale": 2}, {"scale": 2.0}, {"scale": True})),
    }


def told(answer):
    """An answer so that it can be compared, or what it failed with."""
    try:
        response = answer()
    except (InvalidInput, PredictFailed, DeadlinePassed) as error:
        return type(error), str(error)
    return (
        [(tensor.name, tensor.datatype, tensor.data.dtype, tensor.data.tolist()) for tensor in response.outputs],
        sorted((name, repr(value)) for name, value in response.parameters.items()),
    )


@trying(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.tuples(requests(), mostly(None, PATIENCE, 0.0)), min_size=2, max_size=7),
    concurrency=st.sampled_from([None, 1, 2]),
    most=st.sampled_from([2, 4, 16]),
)
def test_whatever_comes_together_is_answered_as_if_it_had_come_alone(serve, asked, concurrency, most):
    alone = serve(Mixed, max_batch_size=0)
    crowd = serve(Mixed, max_batch_size=most, concurrency=concurrency)
    # The first of a batch is always at the gate, so that the others gather behind it.
    crowd.occupy()

    together = [crowd.send(InferenceRequest(**said), deadline=seconds) for said, seconds in asked]
    crowd.runtime.gate.set()

    for (said, seconds), answer in zip(asked, together, strict=True):
        until = None if seconds is None else time.monotonic() + seconds
        expected = told(lambda said=said, until=until: alone.model.answer(InferenceRequest(**said), until))
        got = told(lambda answer=answer: answer.result(PATIENCE))
        assert got == expected or (seconds == 0 and got[0] is DeadlinePassed)  # it has not run
    crowd.pool.shutdown()
    assert crowd.batching.waiting == 0
