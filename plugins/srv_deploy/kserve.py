"""Manifests for KServe: an InferenceService, and a ServingRuntime where its models come from a storage URI."""

from __future__ import annotations

from typing import Any

from srv_deploy import pods, probes
from srv_deploy.errors import ModelsElsewhere, OnSocket, TlsOfItsOwn
from srv_deploy.served import Served
from srv_deploy.yaml_text import Document, Note, Words

#: KServe knows the container by this name.
_CONTAINER = "kserve-container"
#: Where KServe's storage initializer puts what it has fetched.
MODELS = "/mnt/models"
#: The version of a model's format, which means nothing here.
_VERSION = "1"


def documents(served: Served) -> list[Document]:
    """Return the manifests. Raises OnSocket and TlsOfItsOwn for settings that KServe cannot reach a server by."""
    if served.socket is not None:
        raise OnSocket("KServe", served.settings.host, served.settings.origin("host"))
    if served.settings.tls is not None:
        raise TlsOfItsOwn("KServe", served.settings.origin("tls.certfile"))
    if served.wishes.models is None:
        return [_service(served, {"containers": [_container(served)], "volumes": _volumes(served)})]
    if str(served.models_place) != MODELS:
        raise ModelsElsewhere("KServe", MODELS, str(served.models_place), served.settings.origin("models_dir"))
    model = {
        "modelFormat": {"name": served.wishes.name, "version": _VERSION},
        "runtime": served.wishes.name,
        "protocolVersion": "v2",
        Note("A folder for each model, or the files of one model, which is then called as this service."): None,
        "storageUri": served.wishes.models,
    }
    return [_runtime(served), _service(served, {"model": model})]


def _metadata(served: Served) -> dict[Any, Any]:
    namespace = {} if served.wishes.namespace is None else {"namespace": served.wishes.namespace}
    return {"name": served.wishes.name, **namespace}


def _service(served: Served, predictor: Document) -> Document:
    wishes = served.wishes
    if wishes.serverless:
        mode: dict[Any, Any] = {"serving.kserve.io/deploymentMode": "Serverless"}
    else:
        mode = {
            Note("A Deployment; newer versions of KServe call it Standard."): None,
            "serving.kserve.io/deploymentMode": "RawDeployment",
        }
    scraped = _scraped(served)
    if scraped:
        mode["serving.kserve.io/enable-prometheus-scraping"] = "true"
    most = {} if wishes.max_replicas is None else {"maxReplicas": wishes.max_replicas}
    spec: dict[Any, Any] = {"minReplicas": wishes.replicas, **most}
    if not wishes.serverless:  # Knative gives a container the time that a request may take
        spec |= {
            Note("drain_delay and graceful_timeout together, and a little."): None,
            "terminationGracePeriodSeconds": served.stop_seconds,
            **pods.low_ports(served),
        }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {**_metadata(served), "annotations": {**mode, **scraped}},
        "spec": {"predictor": {**spec, **predictor}},
    }


def _runtime(served: Served) -> Document:
    scraped = _scraped(served)
    container = _container(served)
    named = [] if served.plan.root_name is not None else ["--root-name", "{{.Name}}"]
    command = {
        Note("The image's own, with the name that KServe's clients ask for."): None,
        "command": Words([*served.plan.command, *named]),
    }
    first = {"name": container.pop("name"), "image": container.pop("image")}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": _metadata(served),
        "spec": {
            **({"annotations": scraped} if scraped else {}),
            Note("Chosen by its name alone, and never because of a format."): None,
            "supportedModelFormats": [{"name": served.wishes.name, "version": _VERSION, "autoSelect": False}],
            "protocolVersions": ["v2", "grpc-v2"] if served.grpc_port is not None else ["v2"],
            "containers": [{**first, **command, **container}],
            "volumes": _volumes(served),
        },
    }


def _scraped(served: Served) -> dict[Any, Any]:
    """Return the annotations by which KServe finds the metrics, where it may read them."""
    path = served.settings.metrics_endpoint
    if path is None or served.asks_for_keys():
        return {}
    return {"prometheus.kserve.io/port": str(served.http_port), "prometheus.kserve.io/path": path}


def _container(served: Served) -> dict[Any, Any]:
    mounts, _ = pods.mounts(served, models=False)
    http = served.http_port
    assert http is not None
    if served.wishes.serverless:
        ports: dict[Any, Any] = {
            Note("Knative takes one port; http1 says that it is not gRPC's."): None,
            "ports": [{"name": "http1", "containerPort": http, "protocol": "TCP"}],
        }
    else:
        grpc = (
            [] if served.grpc_port is None else [{"name": "h2c", "containerPort": served.grpc_port, "protocol": "TCP"}]
        )
        ports = {
            Note("The first is what KServe's own address leads to; h2c is gRPC."): None,
            "ports": [{"name": "http1", "containerPort": http, "protocol": "TCP"}, *grpc],
        }
    # KServe asks a container for it; a ServingRuntime says it in a field of its own.
    protocol = [{"name": "PROTOCOL", "value": "v2"}] if served.wishes.models is None else []
    return {
        "name": _CONTAINER,
        "image": served.wishes.image,
        **ports,
        **pods.secret_note(served),
        "env": [*protocol, *pods.environment(served)],
        **probes.of_kubernetes(served, http),
        **pods.resources(served),
        "securityContext": pods.security(served, of_pod=False),
        "volumeMounts": mounts,
    }


def _volumes(served: Served) -> list[dict[Any, Any]]:
    return pods.mounts(served, models=False)[1]
