"""What the server says of its models is the same on both faces, and counts what came over either."""

import pytest
from speaking import FORMS

from srv import InferenceRequest, Tensor

pytestmark = pytest.mark.e2e

REST, *_, GRPC = FORMS


@pytest.mark.parametrize("model", ["echo", "typed", "words", "tables", "versions", "streams"])
def test_metadata_are_the_same_on_both_faces(line, model):
    assert REST.metadata(line, model) == {"versions": [], **GRPC.metadata(line, model)}


def test_what_a_signature_declares_is_told(line):
    told = GRPC.metadata(line, "typed")
    assert told["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "weights", "datatype": "FP32", "shape": [-1]},
    ]
    assert told["outputs"] == [
        {"name": "total", "datatype": "FP32", "shape": [1]},
        {"name": "count", "datatype": "INT64", "shape": [-1]},
    ]


def test_versions_are_told_in_their_order(line):
    assert REST.metadata(line, "versions")["versions"] == ["1", "2", "10"]


def test_statistics_count_what_was_answered_and_what_was_not(form, line):
    before = counted(form, line)
    for how in (None, None, "invalid", "bug"):
        form.infer(line, "words", InferenceRequest([Tensor("text", [1] if how else ["a"])]))
    success, fail, inferences, executions = (new - old for new, old in zip(counted(form, line), before, strict=True))
    assert (success, fail, inferences, executions) == (2, 2, 2, 2)


def test_statistics_are_the_same_on_both_faces(line):
    rest, grpc = REST.statistics(line, "echo"), GRPC.statistics(line, "echo")
    assert {name: int(count["count"]) for name, count in rest["inference_stats"].items()} == {
        name: int(count.get("count", 0)) for name, count in grpc["inference_stats"].items()
    }


def counted(form, line):
    told = form.statistics(line, "words")
    stats = told.get("inference_stats", {})
    counts = [stats.get(kind, {}).get("count", 0) for kind in ("success", "fail")]
    return [int(count) for count in (*counts, told.get("inference_count", 0), told.get("execution_count", 0))]
