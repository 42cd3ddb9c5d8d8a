"""Async models that end or block the event loop of their worker, on a real server, over both faces."""

import json

import pytest
from speaking import FORMS, Line

from srv import InferenceRequest, Tensor
from srv.testing import srv_server

pytestmark = pytest.mark.e2e

REST, *_, GRPC = FORMS

MODELS = """
import asyncio, os, sys, threading, time
from srv import Runtime

async def exits():
    sys.exit(3)

async def later(function):
    asyncio.get_running_loop().call_soon(function)
    await asyncio.sleep(0.05)

async def in_a_task(coroutine):
    asyncio.ensure_future(coroutine)
    await asyncio.sleep(0.05)

async def cancels_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(1)

async def raises(error):
    raise error

async def stops():
    asyncio.get_running_loop().stop()

async def closes():
    asyncio.get_running_loop().close()

class M(Runtime):
    async def predict(self, case: list[str]) -> list[str]:
        await eval(case[0])
        return case

    async def predict_stream(self, case: list[str]):
        yield case
        await eval(case[0])
        yield case

class Other(Runtime):
    async def predict(self, case: list[str]) -> list[str]:
        await asyncio.sleep(0.01)
        return case
"""
FAIL = [
    "exits()",
    "raises(KeyboardInterrupt())",
    "raises(GeneratorExit())",
    "raises(BaseException('a panic'))",
    "raises(asyncio.CancelledError())",
    "cancels_itself()",
    "stops()",
    "closes()",
]
ANSWER = [
    "later(sys.exit)",
    "later(asyncio.get_running_loop().stop)",
    "later(lambda: type(asyncio.get_running_loop()).stop(asyncio.get_running_loop()))",
    "in_a_task(exits())",
    "in_a_task(raises(KeyboardInterrupt()))",
    "in_a_task(raises(GeneratorExit()))",
]


def write(folder):
    for name, runtime in {"m": "M", "batched": "M", "other": "Other"}.items():
        place = folder / name
        place.mkdir()
        (place / "models.py").write_text(MODELS)
        settings = {"implementation": f"models.{runtime}"} | ({"max_batch_size": 4} if name == "batched" else {})
        (place / "model-settings.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder)
    with srv_server(folder, settings={"request_timeout": 20}) as server:
        yield server


@pytest.fixture(scope="module")
def line(server):
    line = Line(server.url, server.grpc_address)
    yield line
    line.close()


def ask(line, form, model, case):
    return form.infer(line, model, InferenceRequest([Tensor("case", [case])]))


@pytest.mark.parametrize("model", ["m", "batched"])
@pytest.mark.parametrize("case", FAIL)
@pytest.mark.parametrize("form", [REST, GRPC], ids=["rest", "grpc"])
def test_an_async_predict_that_would_end_the_loop_is_a_model_error_and_others_go_on(line, form, case, model):
    assert ask(line, form, model, case).code == "MODEL_ERROR"
    assert ask(line, form, "other", "a").good["output"].tolist() == [b"a"]


@pytest.mark.parametrize("case", ANSWER)
@pytest.mark.parametrize("form", [REST, GRPC], ids=["rest", "grpc"])
def test_a_task_or_callback_that_would_end_the_loop_costs_no_answer(line, form, case):
    assert ask(line, form, "m", case).good["output"].tolist() == [case.encode()]
    assert ask(line, form, "other", "a").good["output"].tolist() == [b"a"]
