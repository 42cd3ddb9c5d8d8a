"""In which process each hook runs, how often and in which order: a real server, recorded by a plugin of all its hooks."""

import json
import os
import signal

import pytest
from distributions import installed_in
from servers import eventually, numbers, running, write_model

pytestmark = pytest.mark.e2e

RECORDER = """
import json, os
from marshmallow import Schema
from srv import hookimpl
from srv.hooks import ARGUMENTS

def note(hook):
    with open({file!r}, "a") as notes:
        notes.write(json.dumps([os.getpid(), hook]) + "\\n")

def recorded(hook, answer):
    return hookimpl(lambda: (note(hook), answer)[1], specname=hook)

note("import")
schema = recorded("srv_settings_schema", type("Nothing", (Schema,), {{}}))
for name in ARGUMENTS:
    if name != "srv_settings_schema":
        globals()[name[4:]] = recorded(name, None)
"""

#: The hooks that a worker calls in the life that the fixture gives it, in the order of the page.
REGISTRATION = (
    "srv_settings_schema", "srv_runtimes", "srv_codecs", "srv_http_middleware", "srv_http_routes",
    "srv_grpc_interceptors",
)  # fmt: skip
LIFE = (*REGISTRATION, "srv_worker_started", "srv_model_loaded")
REQUEST = ("srv_before_infer", "srv_after_infer")
END = ("srv_model_unloaded", "srv_worker_stopping")


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """What was called where: the hooks of each process in order, the launcher's pid, and the pid of a killed worker."""
    place = tmp_path_factory.mktemp("recorded")
    file = place / "notes"
    write_model(place / "models", "m")
    (place / "models" / "settings.json").write_text('{"model_control": true, "recorder": {}}')
    (place / "site").mkdir()
    with pytest.MonkeyPatch.context() as patch, installed_in(place / "site") as site:
        patch.setenv("PYTHONPATH", str(place / "site"))
        site.add(
            "acme-recorder",
            "[srv.plugins]\nrecorder = acme_recorder\n",
            modules={"acme_recorder": RECORDER.format(file=str(file))},
        )
        with running(place / "models", "--workers", "2") as server:
            launcher = server.process.pid
            eventually(lambda: loads(file) == 2)
            assert server.post("/v2/models/m/infer", numbers(1)).status == 200
            assert server.post("/v2/repository/models/m/load", {}).status == 200
            killed = server.workers()[0]
            os.kill(killed, signal.SIGKILL)
            eventually(lambda: len(workers(calls_in(file))) == 3)
            successor = workers(calls_in(file))[-1]
            eventually(lambda: "srv_model_loaded" in calls_in(file)[successor])
            assert server.stop() == 0
    return calls_in(file), launcher, killed


def calls_in(file):
    """The hooks that each process has called until now, in order."""
    calls = {}
    for pid, hook in map(json.loads, file.read_text().splitlines()):
        calls.setdefault(pid, []).append(hook)
    return calls


def loads(file):
    return sum(hooks.count("srv_model_loaded") for hooks in calls_in(file).values())


def workers(calls):
    return [pid for pid, hooks in calls.items() if "srv_worker_started" in hooks]


def test_no_hook_runs_in_the_launcher_nor_is_the_module_imported_there(notes):
    calls, launcher, _ = notes
    assert launcher not in calls
    assert len(workers(calls)) == 3


def test_a_trial_before_the_start_calls_the_hooks_of_registration_alone(notes):
    calls, _, _ = notes
    trials = [calls[pid] for pid in calls if pid not in workers(calls)]
    assert trials
    for hooks in trials:
        assert hooks[0] == "import"
        assert set(hooks[1:]) <= set(REGISTRATION)


def test_a_worker_calls_the_hooks_in_the_order_of_the_page(notes):
    calls, _, killed = notes
    for pid in workers(calls):
        hooks = [hook for hook in calls[pid] if hook not in REQUEST]
        reloaded = ["srv_model_loaded", "srv_model_reloaded"] if "srv_model_reloaded" in hooks else []
        assert hooks == ["import", *LIFE, *reloaded, *(() if pid == killed else END)]


def test_a_request_is_seen_by_the_worker_that_answers_it_alone(notes):
    calls, _, _ = notes
    assert [hook for hooks in calls.values() for hook in hooks if hook in REQUEST] == [*REQUEST]
    assert any("srv_model_reloaded" in hooks for hooks in calls.values())
