"""The load tells a lost request that has a cause from one that has none, and a wrong answer from a right one."""

import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "scripts"))

from chaos_load.folder import MODELS  # noqa: E402 - scripts/ is no package that is installed
from chaos_load.records import Disturbances, Exchange, Outcome  # noqa: E402
from chaos_load.report import ALLOWED  # noqa: E402
from chaos_load.rest import fault_of, refused  # noqa: E402
from chaos_load.server import Held  # noqa: E402


def lost(*, alive=10.0, ended=11.0, worker=None, number=1, behind_close=False):
    return Exchange("rest double", number, Outcome.LOST, "closed", alive, ended, worker, behind_close)


BEHIND = lost(worker=8, behind_close=True)


@pytest.mark.parametrize(
    "exchange, cause",
    [
        pytest.param(lost(worker=7), "worker killed", id="its worker was killed"),
        pytest.param(lost(), "worker killed", id="a worker was killed before any had answered"),
        pytest.param(lost(worker=8), "", id="another worker was killed"),
        pytest.param(lost(alive=10.6), "", id="it was asked after the kill"),
        pytest.param(lost(ended=10.4), "", id="it was lost before the kill"),
        pytest.param(BEHIND, "behind an answer that closes, request not run", id="behind an answer that closes"),
        pytest.param(lost(worker=8, behind_close=True, number=99), "", id="behind one that closes, though it ran"),
        pytest.param(lost(alive=29, ended=30.5, worker=8), "worker replaced, request not run", id="replaced"),
        pytest.param(lost(alive=29, ended=30.5, worker=8, number=99), "", id="replaced though it ran"),
    ],
)
def test_a_lost_request_has_the_cause_that_its_own_worker_gives(exchange, cause):
    done = Disturbances(kills=[(10.5, 7)], replacements=[(30.0, 31.0)])
    assert done.cause(exchange, frozenset({99})) == cause


def test_an_answer_with_another_requests_numbers_is_wrong():
    row = [3.0, 5.0]
    answer = {"outputs": [{"name": "y", "data": [6.0, 10.0]}, {"name": "pid", "data": [7]}]}
    assert fault_of(answer, MODELS["double"], row) == ""
    assert fault_of(answer, MODELS["double"], [4.0, 5.0]) == "expected [8.0, 10.0], got [6.0, 10.0]"


@pytest.mark.parametrize(
    "status, body, model, took, outcome",
    [
        (503, b'{"error": "It stops.", "code": "UNAVAILABLE"}', "double", 0.0, Outcome.REFUSED),
        (504, b'{"error": "Late.", "code": "DEADLINE"}', "slow", 0.06, Outcome.REFUSED),
        (504, b'{"error": "Late.", "code": "DEADLINE"}', "slow", 0.01, Outcome.WRONG),
        (504, b'{"error": "Late.", "code": "DEADLINE"}', "double", 9.0, Outcome.WRONG),
        (500, b'{"error": "Oh.", "code": "INTERNAL"}', "double", 0.0, Outcome.WRONG),
        (503, b"<html>", "double", 0.0, Outcome.WRONG),
    ],
)
def test_a_refusal_must_be_one_that_the_load_explains(status, body, model, took, outcome):
    assert refused(status, body, MODELS[model], took)[0] is outcome


def test_what_has_grown_beyond_what_is_allowed_is_named():
    before, after = Held(12, 1, 20, 30), Held(12, 2, 30, 30)
    assert after.grown(before, ALLOWED) == ["worker descriptors 20 -> 30"]
