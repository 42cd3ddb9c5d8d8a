"""Classes of MLServer's users, unchanged: what they load, get, give, and let go."""

import base64
import json

import pytest

SUM = """
    from mlserver import MLModel, types
    from mlserver.codecs import NumpyCodec


    class Sum(MLModel):
        async def load(self) -> bool:
            self.loaded = True
            return True

        async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
            total = sum(self.decode(each, default_codec=NumpyCodec).sum() for each in payload.inputs)
            return types.InferenceResponse(
                model_name=self.name,
                id=payload.id,
                outputs=[types.ResponseOutput(name="total", shape=[1], datatype="FP64", data=[float(total)])],
            )
"""
ARGS = """
    import numpy as np
    from mlserver import MLModel
    from mlserver.codecs import decode_args
    from typing import List


    class Words(MLModel):
        @decode_args
        async def predict(self, words: List[str], times: np.ndarray) -> List[str]:
            return [word * int(times[0]) for word in words]
"""
HEARD = """
    import json

    from mlserver import MLModel, types


    class Heard(MLModel):
        async def predict(self, payload):
            heard = {
                "id": payload.id,
                "parameters": payload.parameters.model_dump(exclude={"headers"}, exclude_none=True),
                "header": payload.parameters.headers.get("x-colour"),
                "outputs": [each.name for each in payload.outputs or []],
                "inputs": [
                    [each.name, each.datatype.value, each.shape, each.parameters and each.parameters.content_type,
                     type(each.data.root).__name__, list(each.data)]
                    for each in payload.inputs
                ],
                "extra": self.settings.parameters.extra,
                "uri": self.settings.parameters.uri,
                "source": self.settings._source,
                "versions": self.settings.versions,
                "unknown": getattr(self.settings.parameters, "weight", None),
                "sizes": [self.name, self.version, self.settings.max_batch_size],
            }
            return types.InferenceResponse(
                model_name=self.name,
                parameters=types.Parameters(nested={"a": [1]}, plain=2, headers={"X-Answer": "7"}),
                outputs=[types.ResponseOutput(name="heard", shape=[1], datatype="BYTES", data=[json.dumps(heard)])],
            )
"""


def tensor(name, datatype, data, **parameters):
    shape = [len(data)]
    return {
        "name": name,
        "datatype": datatype,
        "shape": shape,
        "data": data,
        **({"parameters": parameters} if parameters else {}),
    }


def test_srv_adopt_serves_a_class_of_mlserver_as_it_is(folder, srv_client):
    client = srv_client(folder(sum=({"implementation": "models.Sum"}, SUM)))

    for form in ("json", "grpc"):
        answer = client.infer("sum", {"x": [1.5, 2.5], "y": [3.0]}, form=form)
        assert answer["total"].tolist() == [7.0]


def test_inputs_of_decode_args_come_by_name_and_outputs_have_mlservers_names(folder, srv_client):
    client = srv_client(folder(words=({"implementation": "models.Words"}, ARGS)))

    answer = client.post(
        "/v2/models/words/infer", {"inputs": [tensor("words", "BYTES", ["a", "ü"]), tensor("times", "INT64", [2])]}
    )

    assert answer.json["outputs"] == [
        {
            "name": "output-0",
            "datatype": "BYTES",
            "shape": [2, 1],
            "data": ["aa", "üü"],
            "parameters": {"content_type": "str"},
        }
    ]


def test_a_missing_or_a_further_input_of_decode_args_is_told(folder, srv_client):
    client = srv_client(folder(words=({"implementation": "models.Words"}, ARGS)))

    missing = client.post("/v2/models/words/infer", {"inputs": [tensor("words", "BYTES", ["a"])]})
    further = client.post(
        "/v2/models/words/infer",
        {"inputs": [tensor("words", "BYTES", ["a"]), tensor("times", "INT64", [1]), tensor("other", "BYTES", ["a"])]},
    )

    assert (missing.status, missing.error) == (400, "Input 'times' is missing; the request brings 'words'.")
    assert (further.status, further.code) == (400, "INVALID_INPUT")
    assert "other" in further.error


def test_a_class_sees_requests_settings_and_headers_as_with_mlserver(folder, srv_client):
    served = folder(
        heard=(
            {
                "implementation": "models.Heard",
                "versions": ["sklearn/1.2"],
                "parameters": {"version": "v3", "weight": 2, "extra": {"k": [1]}},
            },
            HEARD,
        )
    )
    client = srv_client(served)

    answer = client.post(
        "/v2/models/heard/infer",
        {
            "id": "one",
            "parameters": {"content_type": "nobodys", "deep": {"a": None}},
            "inputs": [tensor("x", "FP32", [1, 2.5], content_type="np"), tensor("y", "BYTES", ["a", None])],
            "outputs": [{"name": "heard"}],
        },
        headers={"X-Colour": "red"},
    )

    heard = json.loads(answer.json["outputs"][0]["data"][0])
    assert heard == {
        "id": "one",
        "parameters": {"content_type": "nobodys", "deep": {"a": None}},
        "header": "red",
        "outputs": ["heard"],
        "inputs": [["x", "FP32", [2], "np", "list", [1.0, 2.5]], ["y", "BYTES", [2], None, "list", ["a", None]]],
        "extra": {"k": [1]},
        "uri": str(served / "heard"),
        "source": str(served / "heard" / "model-settings.json"),
        "versions": ["sklearn/1.2"],
        "unknown": 2,
        "sizes": ["heard", "v3", 0],
    }
    assert answer.json["parameters"] == {"nested": '{"a": [1]}', "plain": 2}
    assert answer.headers["x-answer"] == "7"


LIFE = """
    import asyncio
    import contextvars

    import mlserver
    from mlserver import MLModel, types
    from mlserver.errors import InferenceError, MLServerError
    from mlserver.handlers import custom_handler
    from pydantic import BaseModel


    def said(model, text):
        return types.InferenceResponse(
            model_name=model.name, outputs=[types.ResponseOutput(name="said", shape=[1], datatype="BYTES", data=[text])]
        )


    class Item(BaseModel):
        price: float


    class Life(MLModel):
        async def load(self) -> bool:
            await asyncio.sleep(0)
            mlserver.register("life_seconds", "How long a life takes")
            return True

        async def predict(self, payload):
            text = payload.inputs[0].data[0]
            if text == "bad":
                raise InferenceError("no such text")
            if text == "lost":
                raise MLServerError("nothing there", 404)
            if text == "bug":
                raise KeyError("secret")
            if text == "none":
                return None
            mlserver.log(life_seconds=2.5)
            await asyncio.sleep(0)
            return said(self, text)

        async def predict_stream(self, payloads):
            async for payload in payloads:
                for letter in payload.inputs[0].data[0]:
                    if letter == "!":
                        raise InferenceError("no such letter")
                    mlserver.log(life_letters=1)
                    await asyncio.sleep(0)
                    yield said(self, letter)

        @custom_handler(rest_path="/price", rest_method="POST")
        async def price(self, item: Item, tax: float = 1.0) -> dict:
            return {"name": self.name, "price": item.price * tax}

        @custom_handler(rest_path="/broken", rest_method="GET")
        async def broken(self) -> dict:
            raise KeyError("secret")

        async def unload(self) -> bool:
            with open(self.settings.parameters.uri + "/gone", "w") as file:
                file.write("gone")
            return True
"""


@pytest.fixture
def life(folder, srv_client):
    return srv_client(folder(life=({"implementation": "models.Life"}, LIFE)))


def asked(text):
    return {"inputs": [tensor("x", "BYTES", [text])]}


def test_a_class_that_awaits_answers_on_the_event_loop(life):
    for form in ("json", "grpc"):
        assert life.infer("life", {"x": ["so"]}, form=form)["said"].tolist() == [b"so"]


@pytest.mark.parametrize(
    "text, status, code, words",
    [
        ("bad", 400, "INVALID_INPUT", "no such text"),
        ("lost", 400, "INVALID_INPUT", "nothing there"),
        ("bug", 500, "MODEL_ERROR", "KeyError"),
        ("none", 500, "MODEL_ERROR", "NoResponse"),
    ],
)
def test_errors_of_mlserver_have_their_status_and_others_hide_their_message(life, text, status, code, words):
    answer = life.post("/v2/models/life/infer", asked(text))

    assert (answer.status, answer.code) == (status, code)
    assert words in answer.error
    assert "secret" not in answer.error


def test_streams_come_in_steps_and_an_error_is_the_last_event(life):
    answer = life.post("/v2/models/life/infer_stream", asked("ab!"))

    events = [json.loads(line.removeprefix("data: ")) for line in answer.body.decode().split("\n\n") if line]
    assert [each["outputs"][0]["data"] for each in events[:-1]] == [["a"], ["b"]]
    assert (events[-1]["error"], events[-1]["code"]) == ("no such letter", "INVALID_INPUT")


def test_a_class_without_a_stream_of_its_own_streams_its_one_answer(folder, srv_client):
    client = srv_client(folder(sum=({"implementation": "models.Sum"}, SUM)))

    answer = client.post("/v2/models/sum/infer_stream", {"inputs": [tensor("x", "FP32", [1, 2])]})

    assert json.loads(answer.body.decode().removeprefix("data: "))["outputs"][0]["data"] == [3.0]


def test_metrics_of_mlserver_are_at_srvs_endpoint_with_the_models_name(folder, srv_client):
    client = srv_client(folder(counted=({"implementation": "models.Life"}, LIFE)))
    client.post("/v2/models/counted/infer", asked("so"))
    client.post("/v2/models/counted/infer_stream", asked("ab"))

    text = client.get("/metrics").body.decode()

    assert 'life_seconds_count{model_name="counted",model_version=""} 1.0' in text
    assert 'life_letters_sum{model_name="counted",model_version=""} 2.0' in text


def test_custom_handlers_answer_at_their_paths_with_fastapis_checks(life):
    assert life.post("/price?tax=2", {"price": 1.5}).json == {"name": "life", "price": 3.0}
    assert life.post("/price", {"price": "much"}).status == 422
    broken = life.get("/broken")
    assert (broken.status, broken.code) == (500, "MODEL_ERROR")
    assert "secret" not in broken.error
    assert life.get("/price").status == 404


def test_an_unloaded_model_is_told_and_its_custom_handlers_go(life, tmp_path):
    life.post("/v2/repository/models/life/unload", {})

    assert (tmp_path / "life" / "gone").read_text() == "gone"
    assert life.post("/price", {"price": 1.5}).status == 404


def test_a_custom_handler_is_asked_only_where_a_guard_lets_the_request_pass(folder, srv_client):
    served = folder(
        {"keys": {"ann": "k" * 15 + "0123456789"}},
        life=({"implementation": "models.Life"}, LIFE),
    )
    client = srv_client(served)

    assert client.post("/price", {"price": 1.5}).status == 401


BATCHED = """
    from mlserver import MLModel
    from mlserver.codecs import decode_args
    import numpy as np


    class Size(MLModel):
        @decode_args
        async def predict(self, x: np.ndarray) -> np.ndarray:
            return np.full((len(x), 1), len(x), dtype=np.int64)
"""


def test_requests_to_a_class_run_together_where_its_settings_say(folder, srv_client):
    client = srv_client(
        folder(size=({"implementation": "models.Size", "max_batch_size": 8, "max_batch_time": 0.01}, BATCHED))
    )

    answer = client.infer("size", {"x": [[1.0], [2.0], [3.0]]})

    assert answer["output-0"].tolist() == [[3], [3], [3]]


@pytest.mark.parametrize(
    "data, datatype, words",
    [
        ("[1, 2, 3]", "FP32", "3 values, which do not fill its shape [2]"),
        ("[300, 1]", "UINT8", "out of uint8's range"),
        ("[1.5, 1]", "INT32", "no whole number"),
        ("['a', 'b']", "FP32", "no float32"),
        ("[{1}, 2]", "BYTES", "type set"),
    ],
)
def test_an_output_that_does_not_fit_its_datatype_or_shape_is_the_models_error(
    folder, srv_client, caplog, data, datatype, words
):
    code = f"""
    from mlserver import MLModel, types

    class Odd(MLModel):
        async def predict(self, payload):
            output = types.ResponseOutput.model_construct(
                name="y", shape=[2], datatype="{datatype}", parameters=None, data=types.TensorData.model_construct({data})
            )
            return types.InferenceResponse.model_construct(model_name="odd", outputs=[output], parameters=None)
    """
    client = srv_client(folder(odd=({"implementation": "models.Odd"}, code)))

    answer = client.post("/v2/models/odd/infer", asked("x"))

    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert words in caplog.text


CODECS = """
    from mlserver import MLModel, types
    from mlserver.codecs import (
        Base64Codec, DatetimeCodec, InputCodec, NumpyCodec, PandasCodec, StringCodec, decode_args, register_input_codec,
    )
    import pandas as pd


    class Table(MLModel):
        @decode_args
        async def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
            frame["both"] = frame["word"].astype(str) + frame["count"].astype(str)
            return frame


    class Raw(MLModel):
        async def predict(self, payload):
            value = self.decode(payload.inputs[0])
            return types.InferenceResponse(
                model_name=self.name,
                outputs=[types.ResponseOutput(name="y", shape=[1], datatype="BYTES", data=[repr(value)])],
            )
"""


def test_a_table_of_words_passes_through_mlservers_pandas_codec_with_any_pandas(folder, srv_client):
    client = srv_client(folder(table=({"implementation": "models.Table"}, CODECS)))

    answer = client.post(
        "/v2/models/table/infer",
        {
            "parameters": {"content_type": "pd"},
            "inputs": [tensor("word", "BYTES", ["a", "b"]), tensor("count", "INT64", [1, 2])],
        },
    )

    assert answer.status == 200
    assert {each["name"]: each["data"] for each in answer.json["outputs"]} == {
        "word": ["a", "b"],
        "count": [1, 2],
        "both": ["a1", "b2"],
    }


@pytest.mark.parametrize(
    "content_type, sent, decoded",
    [
        ("str", "word", "['word']"),
        ("base64", base64.b64encode(b"\x00").decode(), r"[b'\x00']"),
        ("datetime", "2024-02-29", "[datetime.datetime(2024, 2, 29, 0, 0)]"),
    ],
)
def test_mlservers_own_codecs_read_what_srv_leaves_alone(folder, srv_client, content_type, sent, decoded):
    client = srv_client(folder(raw=({"implementation": "models.Raw"}, CODECS)))

    answer = client.post("/v2/models/raw/infer", {"inputs": [tensor("x", "BYTES", [sent], content_type=content_type)]})

    assert answer.json["outputs"][0]["data"] == [decoded]


STREAM_ONLY = """
    from mlserver import MLModel, types


    class Stream(MLModel):
        async def predict_stream(self, payloads):
            async for payload in payloads:
                output = types.ResponseOutput(name="y", shape=[1], datatype="INT32", data=[len(payload.inputs)])
                yield types.InferenceResponse(model_name=self.name, outputs=[output])


    class Nothing(MLModel):
        pass
"""


def test_a_class_without_a_predict_of_its_own_answers_with_streams_only(folder, srv_client):
    client = srv_client(folder(stream=({"implementation": "models.Stream"}, STREAM_ONLY)))

    answer = client.post("/v2/models/stream/infer", asked("x"))
    assert (answer.status, answer.code) == (501, "UNIMPLEMENTED")

    answer = client.post("/v2/models/stream/infer_stream", asked("x"))
    assert json.loads(answer.body.decode().removeprefix("data: "))["outputs"][0]["data"] == [1]


def test_a_class_that_answers_nothing_is_not_loaded(folder, srv_client):
    client = srv_client(folder({"on_load_error": "continue"}, n=({"implementation": "models.Nothing"}, STREAM_ONLY)))

    (row,) = client.post("/v2/repository/index", {}).json
    assert "models.Nothing has no predict method of its own" in row["reason"]


LOADS = """
    import asyncio
    import threading

    from mlserver import MLModel, types
    from mlserver.errors import InvalidModelURI


    class Loads(MLModel):
        async def load(self) -> bool:
            self.calls = getattr(self, "calls", 0) + 1
            if self.settings.parameters.extra["way"] == "refuses":
                return False
            if self.settings.parameters.extra["way"] == "raises":
                raise InvalidModelURI(self.name, "nowhere")
            if self.settings.parameters.extra["way"] == "loop":
                self.loop = asyncio.get_running_loop()
                await asyncio.sleep(0)
            self.thread = threading.current_thread().name
            return True

        async def predict(self, payload):
            if self.settings.parameters.extra["way"] == "loop":
                assert asyncio.get_running_loop() is self.loop
            return types.InferenceResponse(
                model_name=self.name,
                outputs=[types.ResponseOutput(name="calls", shape=[1], datatype="INT32", data=[self.calls])],
            )
"""


def loading(way):
    return {"implementation": "models.Loads", "parameters": {"extra": {"way": way}}}


@pytest.mark.parametrize("way", ["plain", "loop"])
def test_a_model_loads_once_in_a_thread_or_on_the_event_loop_where_it_needs_that(folder, srv_client, way):
    client = srv_client(folder(m=(loading(way), LOADS)))
    assert client.infer("m", {"x": [1.0]})["calls"].tolist() == [1]


@pytest.mark.parametrize("way, words", [("refuses", "load"), ("raises", "Invalid URI specified for model m (nowhere)")])
def test_a_load_that_fails_is_the_reason_of_the_index(folder, srv_client, way, words):
    client = srv_client(folder({"on_load_error": "continue"}, m=(loading(way), LOADS)))
    (row,) = client.post("/v2/repository/index", {}).json
    assert (row["state"], words in row["reason"]) == ("UNAVAILABLE", True)
