"""Manifests for Kubernetes."""

import json

import pytest
import yaml

UNIX = {"host": "unix:/run/srv/http.sock"}
TLS = {"tls": {"certfile": "/etc/tls/tls.crt", "keyfile": "/etc/tls/tls.key"}}


def container(manifests):
    [found] = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    return found


def pod(manifests):
    return manifests["Deployment"]["spec"]["template"]["spec"]


def variables(manifests):
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(manifests).get("env", [])}


def probes(manifests):
    found = container(manifests)
    return [{**found[f"{kind}Probe"]} for kind in ("startup", "liveness", "readiness")]


def test_ports_are_those_of_the_settings_and_of_the_variables_over_them(documents):
    made = documents("kubernetes", "--env", "SRV_GRPC_PORT=9001", settings={"http_port": 9000})
    assert [port["containerPort"] for port in container(made)["ports"]] == [9000, 9001]
    assert [(port["name"], port["port"], port["targetPort"]) for port in made["Service"]["spec"]["ports"]] == [
        ("http", 9000, "http"),
        ("grpc", 9001, "grpc"),
    ]


def test_without_grpc_there_is_one_port(documents):
    made = documents("kubernetes", settings={"grpc_port": None})
    assert [port["name"] for port in made["Service"]["spec"]["ports"]] == ["http"]


def test_probes_ask_for_health_and_wait_until_srv_has_helped_itself(documents):
    startup, live, ready = probes(documents("kubernetes", settings={"worker_timeout": 100}))
    assert startup["httpGet"] == live["httpGet"] == {"path": "/v2/health/live", "port": "http"}
    assert ready["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert live["periodSeconds"] * live["failureThreshold"] > 100
    assert all(probe["timeoutSeconds"] > 1 for probe in (startup, live, ready))


def test_with_tls_probes_speak_it_and_the_certificate_comes_from_a_secret(documents):
    made = documents("kubernetes", settings=TLS)
    assert {probe["httpGet"]["scheme"] for probe in probes(made)} == {"HTTPS"}
    mounted = {mount["mountPath"]: mount["subPath"] for mount in container(made)["volumeMounts"] if "subPath" in mount}
    assert mounted == {"/etc/tls/tls.crt": "tls.crt", "/etc/tls/tls.key": "tls.key"}
    assert {"name": "tls", "secret": {"secretName": "scale-tls"}} in pod(made)["volumes"]
    annotations = made["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scheme"] == "https"


def test_a_certificate_of_the_folder_travels_in_the_image(documents):
    made = documents("kubernetes", settings={"tls": {"certfile": "tls.crt", "keyfile": "tls.key"}})
    assert [mount["mountPath"] for mount in container(made)["volumeMounts"]] == ["/tmp"]


def test_probes_without_a_certificate_see_that_the_port_is_open(documents, printed):
    settings = {"tls": {**TLS["tls"], "client_ca": "/etc/tls/ca.crt"}}
    assert all("tcpSocket" in probe for probe in probes(documents("kubernetes", settings=settings)))
    assert "lets nobody in without a certificate, probes neither" in printed.said.err


def test_a_server_on_a_socket_is_asked_from_inside_and_has_no_service(documents):
    made = documents("kubernetes", settings=UNIX)
    assert set(made) == {"Deployment"}
    _, live, ready = probes(made)
    asked = ["python", "-P", "-m", "srv", "health", "/srv/app"]
    assert live["exec"]["command"] == [*asked, "--live"]
    assert ready["exec"]["command"] == [*asked, "--ready"]
    assert {"name": "socket", "mountPath": "/run/srv"} in container(made)["volumeMounts"]


@pytest.mark.parametrize(
    "settings, seconds, delay",
    [({}, 30, "5"), ({"drain_delay": 10}, 30, None), ({"drain_delay": 0, "graceful_timeout": 90}, 95, None)],
    ids=["nothing said", "a delay", "both"],
)
def test_a_pod_has_the_time_to_stop_that_its_server_takes(documents, settings, seconds, delay):
    made = documents("kubernetes", settings=settings)
    assert pod(made)["terminationGracePeriodSeconds"] == seconds
    assert variables(made).get("SRV_DRAIN_DELAY") == delay


def test_a_pod_has_no_rights_and_writes_to_tmp_alone(documents):
    made = documents("kubernetes")
    assert pod(made)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(made)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container(made)["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert pod(made)["automountServiceAccountToken"] is False


def test_a_plugin_that_would_write_elsewhere_writes_to_tmp(documents):
    made = documents("kubernetes", settings={"event_log": {"file": "logs/events.jsonl"}})
    assert variables(made)["SRV_EVENT_LOG__FILE"] == "/tmp/events.jsonl"


def test_limits_are_requests_so_that_srv_shares_out_what_it_really_has(documents, printed):
    made = documents("kubernetes", "--cpu", "1", "--memory", "1Gi", "--gpu", "2", settings={"workers": 4})
    assert container(made)["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": 2},
    }
    assert "4 workers share 1 of a processor's time; --cpu 4 gives each its own." in printed.said.err
    assert made["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}


def test_more_servers_have_a_budget_and_a_number_between_the_two_is_left_to_the_autoscaler(documents):
    assert documents("kubernetes")["Deployment"]["spec"]["replicas"] == 1
    made = documents("kubernetes", "--replicas", "2", "--max-replicas", "5", "--cpu", "1")
    assert "replicas" not in made["Deployment"]["spec"]
    scaling = made["HorizontalPodAutoscaler"]["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (2, 5)
    assert made["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_models_come_from_a_claim_where_the_server_looks_for_them(documents):
    made = documents("kubernetes", "--models", "weights", settings={"models_dir": "/data/models"})
    assert {"name": "models", "mountPath": "/data/models", "readOnly": True} in container(made)["volumeMounts"]
    claim = {"claimName": "weights", "readOnly": True}
    assert {"name": "models", "persistentVolumeClaim": claim} in pod(made)["volumes"]


def test_settings_are_mounted_over_the_image_s_and_another_text_makes_other_pods(documents):
    def digest(settings):
        made = documents("kubernetes", "--settings", settings=settings)
        mount = {
            "name": "settings",
            "mountPath": "/srv/app/settings.json",
            "subPath": "settings.json",
            "readOnly": True,
        }
        assert mount in container(made)["volumeMounts"]
        assert json.loads(made["ConfigMap"]["data"]["settings.json"]) == settings
        return made["Deployment"]["spec"]["template"]["metadata"]["annotations"]["srv/settings"]

    assert digest({"threads": 4}) != digest({"threads": 5})


def test_keys_are_named_and_never_told(documents, printed):
    secret = "a-key-of-somebody-s"
    made = documents("kubernetes", "--env", "SRV_KEYS__TEAM", settings={"keys": {"ci": secret}})
    assert variables(made)["SRV_KEYS__TEAM"] == {"secretKeyRef": {"name": "scale-secrets", "key": "SRV_KEYS__TEAM"}}
    assert variables(made)["SRV_KEYS__CI"] == {
        "secretKeyRef": {"name": "scale-secrets", "key": "SRV_KEYS__CI", "optional": True}
    }
    assert secret not in printed.said.out + printed.said.err
    assert "settings.json has the keys of ci in the clear" in printed.said.err


def test_prometheus_is_shown_the_metrics_where_it_may_read_them(documents):
    def annotations(**settings):
        metadata = documents("kubernetes", settings=settings)["Deployment"]["spec"]["template"]["metadata"]
        return metadata.get("annotations")

    assert annotations(metrics_endpoint="/stats", http_port=9000) == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9000",
        "prometheus.io/path": "/stats",
    }
    assert annotations(metrics_endpoint=None) is None
    assert annotations(keys={"ci": "sha256:" + "a" * 64}) is None


def test_a_service_monitor_asks_the_port_by_name_with_a_key_where_one_is_needed(documents):
    made = documents("kubernetes", "--service-monitor", settings={"keys": {"ci": "sha256:" + "a" * 64}})
    [endpoint] = made["ServiceMonitor"]["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
    assert endpoint["authorization"]["credentials"] == {"name": "scale-secrets", "key": "SRV_KEYS__PROMETHEUS"}


def test_the_text_is_stable_and_json_says_the_same(printed, documents):
    words = ("--cpu", "1", "--replicas", "2")
    text = printed("kubernetes", *words)
    assert text == printed("kubernetes", *words)
    listed = json.loads(printed("kubernetes", *words, "--json"))
    assert listed["kind"] == "List"
    assert listed["items"] == list(yaml.safe_load_all(text))
