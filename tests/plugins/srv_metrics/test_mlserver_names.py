"""MLServer's names of metrics, beside srv's, where settings ask for them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from srv import InvalidInput, Runtime
from srv.testing import model


class Echo(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        if x == ["bad"]:
            raise InvalidInput("bad")
        return x


def samples(client):
    text = client.get("/metrics").body.decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def client(srv_client, isolated_plugins):
    isolated_plugins()
    return srv_client(model(Echo, name="echo"), settings={"metrics": {"names": "mlserver"}})


REST = (("app_name", "mlserver"), ("method", "POST"), ("path", "/v2/models/{model_name}/infer"))
GRPC = (("grpc_method", "ModelInfer"), ("grpc_service", "inference.GRPCInferenceService"), ("grpc_type", "UNARY"))


def test_requests_are_told_by_mlservers_names_beside_srvs(client):
    for form in ("json", "json", "grpc"):
        client.infer("echo", {"x": ["a"]}, form=form)
    for form in ("json", "grpc"):
        client.infer("echo", {"x": ["bad"]}, form=form)

    told = samples(client)

    version = next(dict(name[1:])["version"] for name in told if name[0] == "model_infer_request_success_total")
    of = (("model", "echo"), ("version", version))
    assert told["model_infer_request_success_total", *of] == 3
    assert told["model_infer_request_failure_total", *of] == 2
    assert told["model_infer_request_duration_count", *of] == 5
    assert told["model_infer_request_duration_sum", *of] > 0
    assert told["rest_server_requests_total", *REST, ("status_code", "200")] == 2
    assert told["rest_server_requests_total", *REST, ("status_code", "400")] == 1
    assert told["rest_server_request_duration_seconds_count", *REST, ("status_code", "200")] == 2
    assert told["grpc_server_started_total", *GRPC] == 2
    assert told["grpc_server_handled_total", ("grpc_code", "OK"), *GRPC] == 1
    assert told["grpc_server_handled_total", ("grpc_code", "INVALID_ARGUMENT"), *GRPC] == 1
    assert told["grpc_server_handling_seconds_count", *GRPC] == 2
    assert any(name[0] == "srv_requests_total" for name in told)


def test_without_the_setting_srvs_names_are_all(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(model(Echo, name="echo"))
    client.infer("echo", {"x": ["a"]})
    assert not any(name[0].startswith(("model_infer", "rest_server", "grpc_server")) for name in samples(client))


def test_srv_settings_schema_of_metrics_refuses_other_names(srv_client, isolated_plugins):
    isolated_plugins()
    with pytest.raises(Exception, match=r"metrics.*names"):
        srv_client(model(Echo, name="echo"), settings={"metrics": {"names": "tritons"}})
