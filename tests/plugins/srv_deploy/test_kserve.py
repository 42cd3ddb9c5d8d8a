"""Manifests for KServe: the fields that its API has, and pods that Kubernetes takes."""

import pytest
import yaml

#: The fields of KServe's own that are written, by the kind and the place; what else is there is a pod's.
PREDICTOR = {"minReplicas", "maxReplicas", "model", "containers", "volumes", "terminationGracePeriodSeconds"}


def container(manifests, kind="InferenceService"):
    spec = manifests[kind]["spec"]
    [found] = (spec["predictor"] if kind == "InferenceService" else spec)["containers"]
    return found


def test_a_service_of_a_container_speaks_the_protocol_over_both_faces(documents):
    made = documents("kserve", "--max-replicas", "3", "--namespace", "models", settings={"http_port": 9000})
    assert set(made) == {"InferenceService"}
    service = made["InferenceService"]
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert service["metadata"]["namespace"] == "models"
    predictor = service["spec"]["predictor"]
    assert set(predictor) <= PREDICTOR
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 3)
    assert predictor["terminationGracePeriodSeconds"] == 30
    found = container(made)
    assert found["name"] == "kserve-container"
    assert [(port["name"], port["containerPort"]) for port in found["ports"]] == [("http1", 9000), ("h2c", 8081)]
    assert {"name": "PROTOCOL", "value": "v2"} in found["env"]
    assert found["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 9000}
    assert found["securityContext"]["readOnlyRootFilesystem"] is True
    assert found["securityContext"]["runAsUser"] == 1000


def test_knative_gets_one_port_and_no_field_that_it_refuses(documents):
    made = documents("kserve", "--serverless")
    service = made["InferenceService"]
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Serverless"
    assert [port["name"] for port in container(made)["ports"]] == ["http1"]
    assert "terminationGracePeriodSeconds" not in service["spec"]["predictor"]


def test_models_from_a_uri_are_served_by_a_runtime_of_this_image(documents, folder):
    (folder / "model-settings.json").write_text('{"runtime": "sklearn"}')
    made = documents("kserve", "--models", "s3://bucket/iris", "--cpu", "1")
    model = made["InferenceService"]["spec"]["predictor"]["model"]
    runtime = made["ServingRuntime"]
    assert (model["storageUri"], model["runtime"]) == ("s3://bucket/iris", runtime["metadata"]["name"])
    [served] = runtime["spec"]["supportedModelFormats"]
    assert model["modelFormat"] == {"name": served["name"], "version": served["version"]}
    assert served["autoSelect"] is False
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    command = container(made, "ServingRuntime")["command"]
    assert command == ["python", "-P", "-m", "srv", "start", "/srv/app", "--root-name", "{{.Name}}"]
    assert container(made, "ServingRuntime")["resources"]["limits"] == {"cpu": "1"}


def test_metrics_are_found_where_they_may_be_read(documents):
    def annotations(**settings):
        return documents("kserve", settings=settings)["InferenceService"]["metadata"]["annotations"]

    assert annotations(metrics_endpoint="/stats")["prometheus.kserve.io/path"] == "/stats"
    assert "prometheus.kserve.io/path" not in annotations(keys={"ci": "sha256:" + "a" * 64})


REFUSED = {
    "a socket": ((), {"host": "unix:/run/srv.sock"}, "KServe reaches a server by a port"),
    "TLS": ((), {"tls": {"certfile": "/a.crt", "keyfile": "/a.key"}}, "Give --env SRV_TLS=null."),
    "models elsewhere": (("--models", "s3://a/b"), {"models_dir": "/data"}, "KServe puts models into /mnt/models."),
}


@pytest.mark.parametrize("words, settings, sentence", REFUSED.values(), ids=REFUSED)
def test_what_kserve_could_not_reach_is_refused_in_a_sentence(refused, words, settings, sentence):
    assert sentence in refused("kserve", *words, settings=settings)


def test_the_advice_about_tls_helps(printed):
    settings = {"tls": {"certfile": "/a.crt", "keyfile": "/a.key"}}
    [service] = yaml.safe_load_all(printed("kserve", "--env", "SRV_TLS=null", settings=settings))
    assert service["kind"] == "InferenceService"


def test_names_leave_room_for_what_kserve_appends(documents):
    name = documents("kserve", "--name", "x" * 60)["InferenceService"]["metadata"]["name"]
    assert len(f"{name}-predictor-00001") <= 63
