"""Manifests for Kubernetes: a Deployment and a Service, and what goes with them."""

from __future__ import annotations

from typing import Any

from srv_deploy import pods, probes
from srv_deploy.served import Served
from srv_deploy.yaml_text import Document, Note

#: The share of its processors, in percent, that a server uses when another one is added.
_BUSY = 70


def documents(served: Served) -> list[Document]:
    """Return the manifests, those first which the others need."""
    wishes = served.wishes
    made: list[Document] = []
    if wishes.settings_mounted:
        made.append(
            _object(served, "v1", "ConfigMap", {"data": {"settings.json": pods.settings_text(served)}}, "-settings")
        )
    made.append(_object(served, "apps/v1", "Deployment", {"spec": _deployment(served)}))
    if served.ports:
        made.append(_object(served, "v1", "Service", {"spec": _service(served)}))
    if wishes.max_replicas is not None:
        made.append(_object(served, "autoscaling/v2", "HorizontalPodAutoscaler", {"spec": _scaling(served)}))
    if wishes.replicas > 1:
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": _labels(served)}}
        made.append(_object(served, "policy/v1", "PodDisruptionBudget", {"spec": spec}))
    if wishes.service_monitor and served.http_port is not None:
        made.append(_object(served, "monitoring.coreos.com/v1", "ServiceMonitor", {"spec": _monitor(served)}))
    return made


def _object(served: Served, version: str, kind: str, content: Document, ending: str = "") -> Document:
    namespace = {} if served.wishes.namespace is None else {"namespace": served.wishes.namespace}
    metadata = {"name": served.wishes.name + ending, **namespace, "labels": _labels(served)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _labels(served: Served) -> Document:
    return {"app.kubernetes.io/name": served.wishes.name}


def _deployment(served: Served) -> Document:
    wishes = served.wishes
    # Without it the one who scales decides; a number here would be set again by each `kubectl apply`.
    replicas = {"replicas": wishes.replicas} if wishes.max_replicas is None else {}
    if wishes.gpus:
        strategy: dict[Any, Any] = {
            Note("A new server waits for the GPU of an old one, because there may be no other."): None,
            "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
        }
    else:
        strategy = {
            Note("An old server goes when a new one is ready."): None,
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }
    annotations = _annotations(served)
    metadata = {"labels": _labels(served), **({"annotations": annotations} if annotations else {})}
    return {
        **replicas,
        "selector": {"matchLabels": _labels(served)},
        "strategy": {"type": "RollingUpdate", **strategy},
        "template": {"metadata": metadata, "spec": _pod(served)},
    }


def _annotations(served: Served) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    if served.wishes.settings_mounted:
        made |= {
            Note("Another settings.json is another server: pods are made anew."): None,
            "srv/settings": pods.settings_digest(served),
        }
    path, port = served.settings.metrics_endpoint, served.http_port
    if path is None or port is None or served.wishes.service_monitor or served.asks_for_certificates:
        return made
    if served.asks_for_keys():  # Prometheus finds pods by annotations, and has no key for them
        return made
    scheme = {} if served.settings.tls is None else {"prometheus.io/scheme": "https"}
    return made | {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": path,
        **scheme,
    }


def _pod(served: Served) -> dict[Any, Any]:
    mounts, volumes = pods.mounts(served, models=True)
    env = pods.environment(served)
    container: dict[Any, Any] = {"name": "srv", "image": served.wishes.image}
    if served.ports:
        container["ports"] = [{"name": name, "containerPort": port} for name, port in _named_ports(served)]
    if env:
        container |= pods.secret_note(served) | {"env": env}
    container |= {
        **probes.of_kubernetes(served, "http"),
        **pods.resources(served),
        "securityContext": pods.security(served, of_pod=True),
        "volumeMounts": mounts,
    }
    return {
        Note("srv asks Kubernetes for nothing, and reads no variables of Services."): None,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.identity(served) | pods.low_ports(served).get("securityContext", {}),
        Note(
            f"drain_delay {served.settings.drain_delay:g} s and graceful_timeout {served.settings.graceful_timeout:g} s "
            "together, and a little."
        ): None,
        "terminationGracePeriodSeconds": served.stop_seconds,
        "containers": [container],
        "volumes": volumes,
    }


def _named_ports(served: Served) -> list[tuple[str, int]]:
    named = (("http", served.http_port), ("grpc", served.grpc_port))
    return [(name, port) for name, port in named if port is not None]


def _service(served: Served) -> Document:
    secure = served.settings.tls is not None
    protocols = {"http": "https" if secure else "http", "grpc": "grpc" if secure else "kubernetes.io/h2c"}
    return {
        "selector": _labels(served),
        "ports": [
            {"name": name, "port": port, "targetPort": name, "appProtocol": protocols[name]}
            for name, port in _named_ports(served)
        ],
    }


def _scaling(served: Served) -> Document:
    target = {"type": "Utilization", "averageUtilization": _BUSY}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": served.wishes.name},
        "minReplicas": served.wishes.replicas,
        "maxReplicas": served.wishes.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }


def _monitor(served: Served) -> Document:
    endpoint: dict[Any, Any] = {"port": "http", "path": served.settings.metrics_endpoint}
    if served.settings.tls is not None:
        endpoint |= {
            "scheme": "https",
            Note("Pods are asked by their addresses, for which no certificate is made out."): None,
            "tlsConfig": {"insecureSkipVerify": True},
        }
    if served.asks_for_keys():
        endpoint |= {
            Note("A key of the plugin `keys`, under this name in the Secret, lets Prometheus in."): None,
            "authorization": {"credentials": {"name": pods.secret_name(served), "key": "SRV_KEYS__PROMETHEUS"}},
        }
    return {"selector": {"matchLabels": _labels(served)}, "endpoints": [endpoint]}
