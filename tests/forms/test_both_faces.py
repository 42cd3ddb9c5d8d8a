"""What the server says of its models is the same on both faces, and counts what came over either."""

import pytest
from speaking import FORMS

from srv import InferenceRequest, Tensor

pytestmark = pytest.mark.e2e

REST, *_, GRPC = FORMS


@pytest.mark.parametrize("model", ["echo", "typed", "words", "tables", "versions", "streams"])
def test_metadata_are_the_same_on_both_faces(line, model):
    assert REST.metadata(line, model) == GRPC.metadata(line, model)


def test_what_a_signature_declares_is_told(line):
    told = GRPC.metadata(line, "typed")
    assert told["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2], "parameters": {"content_type": "np"}},
        {"name": "weights", "datatype": "FP32", "shape": [-1], "parameters": {"content_type": "np"}},
    ]
    assert told["outputs"] == [
        {"name": "total", "datatype": "FP32", "shape": [1], "parameters": {"content_type": "np"}},
        {"name": "count", "datatype": "INT64", "shape": [-1], "parameters": {"content_type": "np"}},
    ]


def test_versions_are_told_in_their_order(line):
    assert REST.metadata(line, "versions")["versions"] == ["1", "2", "10"]


def test_every_version_that_is_told_is_a_number(line):
    """Triton's perf_analyzer reads each with stoll, and ends where one is none."""
    told = [
        *(row["version"] for row in line.request("POST", "/v2/repository/index").json),
        *(row["version"] for row in line.ask("RepositoryIndex")["models"]),
        *(row["version"] for row in line.request("GET", "/v2/models/stats").json["model_stats"]),
        *(row["version"] for row in line.ask("ModelStatistics")["model_stats"]),
    ]
    for model in line.request("GET", "/v2/models").json["models"]:
        told += REST.metadata(line, model)["versions"] + GRPC.metadata(line, model)["versions"]
        told += [form.statistics(line, model)["version"] for form in (REST, GRPC)]
    answers = [form.infer(line, "echo", InferenceRequest([Tensor("x", [1])])).good for form in FORMS]
    told += [answer.model_version for answer in answers]

    assert {int(version) for version in told} == {1, 2, 10}
    assert max(int(version) for version in REST.metadata(line, "echo")["versions"]) == 1


@pytest.mark.parametrize("end", ["", "/ready", "/config", "/stats", "/docs/dataplane.json"])
def test_every_route_of_a_model_without_a_version_is_there_as_version_1(line, end):
    whole, as_1, as_2 = (
        line.request("GET", f"/v2/models/echo{version}{end}") for version in ("", "/versions/1", "/versions/2")
    )
    assert (whole.status, as_1.status, as_2.status) == (200, 200, 404)
    assert as_1.json == whole.json or end == "/docs/dataplane.json"


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"])
def test_every_method_of_a_model_without_a_version_takes_version_1(line, method):
    assert line.ask(method, name="echo", version="1") == line.ask(method, name="echo", version="")


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
