"""The dashboard for Grafana: its queries find metrics and labels that a server shows, and no metric is left out."""

import json
import re
import shutil
import ssl
import urllib.request
from itertools import combinations

import pytest
from guides import TOP
from prometheus_client.parser import text_string_to_metric_families
from servers import numbers, running

from srv.serve.certificate_dates import end_of

DASHBOARD = json.loads((TOP / "docs" / "grafana" / "srv.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [target for panel in PANELS for target in panel["targets"]]
VARIABLES = {variable["name"]: variable["query"] for variable in DASHBOARD["templating"]["list"]}
QUERIES = [variable["query"] for variable in VARIABLES.values() if isinstance(variable, dict)]
CERTIFICATE = TOP / "tests" / "serve" / "http" / "localhost.pem"
#: The labels that Prometheus gives to whatever it scrapes.
OF_PROMETHEUS = {"job", "instance"}
SELECTOR = re.compile(r"(?P<name>[a-zA-Z_]\w*)?\{(?P<matchers>[^}]*)\}")
MODEL = """\
import numpy as np
from srv import Runtime

class Model(Runtime):
    routes = [("GET", "about", "about")]

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.metric("tokens", len(x), kind="counter", unit="word")
        self.metric("length", len(x), kind="histogram")
        self.metric("level", len(x))
        self.metric("tokens", -1, kind="counter", unit="word")
        return x

    def about(self, request):
        return {}
"""


class Shown:
    """What a server shows: its families by name, and the labels of each name of a sample."""

    def __init__(self, text):
        families = [*text_string_to_metric_families(text)]
        self.families = {family.name for family in families}
        self.values = {sample.name: sample.value for family in families for sample in family.samples}
        self.labels = {name: set() for family in families for name in (family.name, f"{family.name}_total")}
        for family in families:
            for sample in family.samples:
                self.labels.setdefault(sample.name, set()).update(sample.labels)

    def labels_of(self, name):
        """Return the labels of a metric; for a query of any name, those that all metrics of models have."""
        if name is None:
            return {"model", "version", "worker", "unit", "__name__"}
        assert name in self.labels, f"a server shows no {name}"
        return self.labels[name]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "m").mkdir()
    (folder / "m" / "models.py").write_text(MODEL)
    (folder / "m" / "model-settings.json").write_text('{"implementation": "models.Model", "max_batch_size": 4}')
    shutil.copy(CERTIFICATE, folder / "both.pem")
    (folder / "settings.json").write_text('{"tls": {"certfile": "both.pem", "keyfile": "both.pem"}}')
    with running(folder) as server:
        url = server.wait_for(r"listening on (https://\S+)")[1]
        ask(url, "/v2/models/m/infer", json.dumps(numbers(1, 2)).encode())
        ask(url, "/v2/models/m/about")
        yield Shown(ask(url, "/metrics"))


def ask(url, path, body=None):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"} if body else {})
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return answer.read().decode()


@pytest.mark.e2e
def test_queries_ask_for_metrics_and_labels_that_a_server_shows(shown):
    expressions = [*(each["expr"] for each in TARGETS), *QUERIES]
    assert {expression: unknown for expression in expressions if (unknown := unknown_in(expression, shown))} == {}


def unknown_in(expression, shown):
    """The labels of a query that no metric in it has."""
    unknown, known = set(), {*OF_PROMETHEUS}
    for selector in SELECTOR.finditer(expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector["matchers"]))
        unknown |= labels - OF_PROMETHEUS - shown.labels_of(selector["name"])
        known |= shown.labels_of(selector["name"])
    if not expression.startswith("metrics("):
        for name in re.findall(r"\b(?:srv|process)_\w+", re.sub(r"\{[^}]*\}", "", expression)):
            known |= shown.labels_of(name)
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", labels)}
    return unknown | (grouped - known)


@pytest.mark.e2e
def test_legends_name_labels_that_their_queries_leave(shown):
    unknown = {}
    for target in TARGETS:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        unknown[target["expr"]] = named - labels_left_by(target["expr"], shown)
    assert {expression: names for expression, names in unknown.items() if names} == {}


def labels_left_by(expression, shown):
    groups = re.findall(r"by \(([^)]*)\)", expression)
    if groups:
        return set(re.split(r",\s*", groups[0]))
    return OF_PROMETHEUS.union(*(shown.labels_of(found["name"]) for found in SELECTOR.finditer(expression)))


@pytest.mark.e2e
def test_every_metric_of_srv_is_on_the_dashboard_and_in_the_guide(shown):
    asked = " ".join(each["expr"] for each in TARGETS)
    guide = (TOP / "docs" / "metrics.md").read_text()
    ours = {name for name in shown.families if name.startswith("srv_") and not name.startswith("srv_model_")}
    ours |= {"srv_model_queue_requests", "srv_model_metrics_dropped"}

    assert [name for name in sorted(ours) if not re.search(rf"\b{name}(_total|_bucket|_sum)?\b", asked)] == []
    assert [name for name in sorted(ours) if not re.search(rf"`{name}(_total)?`", guide)] == []
    assert {"srv_model_tokens", "srv_model_length", "srv_model_level"} < shown.families


@pytest.mark.e2e
def test_the_end_of_the_certificate_and_what_the_worker_holds_are_shown(shown):
    assert shown.values["srv_tls_certificate_end_timestamp_seconds"] == end_of(CERTIFICATE.read_bytes())
    assert shown.values["srv_connections"] >= 1
    assert shown.values["srv_streams"] == shown.values["srv_worker_deaths_total"] == 0
    assert shown.values["srv_build_info"] == 1


def test_the_dashboard_is_one_that_grafana_reads():
    assert DASHBOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len({*ids}) == len(ids)
    assert {panel["type"] for panel in DASHBOARD["panels"]} <= {"row", "timeseries", "stat"}
    assert [panel["title"] for panel in PANELS if not panel["description"]] == []
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval", "__range", "__all"} == {*VARIABLES}


def test_no_two_panels_of_the_dashboard_lie_on_each_other():
    def cells(panel):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        return {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}

    overlapping = [
        (one["title"], other["title"])
        for one, other in combinations(DASHBOARD["panels"], 2)
        if cells(one) & cells(other)
    ]
    assert overlapping == []
