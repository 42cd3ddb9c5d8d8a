"""Strangers' packages, good and bad, in one environment: the good ones work and the bad ones are named."""

import json
import re
import resource
import subprocess

import pytest
from servers import running

from .conftest import build_wheels
from .wheels import write_source, write_wheel

pytestmark = [pytest.mark.installed, pytest.mark.timeout(900)]

MADE_FOR_US = ("srv-inference>=0.1,<1",)
DOUBLE = """
    from srv import Runtime

    class Double(Runtime):
        def predict(self, x):
            return x["x"] * {factor}
"""
STRANGERS = {
    "srv-good-runtime": (
        "srv.runtimes =\n    double = good_runtime:Double [model.double]",
        {"good_runtime": DOUBLE.format(factor=2)},
    ),
    "srv-good-codec": (
        "srv.codecs =\n    x/csv = good_codec:Csv",
        {
            "good_codec": """
                import numpy as np
                from srv import InputCodec

                class Csv(InputCodec):
                    content_type = "x/csv"
                    type_hint = "good_codec.Line"

                    def can_encode(self, value):
                        return False

                    def decode(self, tensor):
                        return np.array([float(part) for part in tensor.data[0].decode().split(",")])
            """
        },
    ),
    "srv-good-command": (
        "srv.commands =\n    hello = good_command:hello",
        {"good_command": "import click\n\n@click.command()\ndef hello():\n    click.echo('hello from afar')\n"},
    ),
    "srv-good-hooks": (
        "srv.plugins =\n    audit = good_hooks",
        {
            "good_hooks": """
                import logging
                from marshmallow import Schema, fields
                from srv import hookimpl

                log = logging.getLogger("srv.audit")

                class Settings(Schema):
                    word = fields.String(load_default="audit")
                    size = fields.Integer(strict=True)

                @hookimpl
                def srv_settings_schema():
                    return Settings

                @hookimpl
                def srv_worker_started(settings):
                    log.warning("audit says %s", settings["word"])

                @hookimpl
                def srv_before_infer(model, request):
                    log.warning("audit saw a request for %s", model.name)
            """
        },
    ),
    "srv-rival-one": (
        "srv.runtimes =\n    rival = rival_one:Double",
        {"rival_one": DOUBLE.format(factor=1), "rival_shared": ""},
    ),
    "srv-rival-two": (
        "srv.runtimes =\n    rival = rival_two:Double",
        {"rival_two": DOUBLE.format(factor=2), "rival_shared": ""},
    ),
    "srv-raises": ("srv.runtimes =\n    raises = raises_rt:It", {"raises_rt": "raise RuntimeError('not today')"}),
    "srv-half": (
        "srv.plugins =\n    half = half_hooks",
        {
            "half_hooks": """
                from srv import Runtime, hookimpl

                class Halved(Runtime): ...

                @hookimpl
                def srv_runtimes():
                    return {"halved": Halved}

                @hookimpl
                def srv_codecs():
                    raise RuntimeError("half way")
            """
        },
    ),
    "srv-misspelt": (
        "srv.plugins =\n    misspelt = misspelt_hooks",
        {"misspelt_hooks": "from srv import hookimpl\n\n@hookimpl\ndef srv_model_laoded(model): ...\n"},
    ),
    "srv-slow": (
        "srv.runtimes =\n    slow = slow_rt:Double",
        {"slow_rt": "import time\ntime.sleep(5)\n" + DOUBLE.format(factor=3).replace("\n    ", "\n")},
    ),
    "srv-future": ("srv.runtimes =\n    future = future_rt:Double", {"future_rt": DOUBLE.format(factor=4)}),
}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Build wheels of sources, all in one go, and give back their paths."""

    def build(*sources):
        return [str(wheel) for wheel in build_wheels(tmp_path_factory.mktemp("wheels"), *sources)]

    return build


@pytest.fixture(scope="module")
def strangers(environment, build, tmp_path_factory):
    """All of them installed in one environment, until the module's end."""
    folder = tmp_path_factory.mktemp("strangers")
    wheels = build(
        *(
            write_source(
                folder,
                name,
                entry_points,
                modules,
                version="1.2",
                requires=("srv-inference>=99",) if name == "srv-future" else MADE_FOR_US,
            )
            for name, (entry_points, modules) in STRANGERS.items()
        )
    )
    torn = write_wheel(folder, "srv-torn", "[srv.runtimes\ntorn = torn_rt:Torn\n", {})
    future = [wheel for wheel in wheels if "future" in wheel]
    environment.pip("install", *(wheel for wheel in wheels if wheel not in future), str(torn))
    environment.pip("install", "--no-deps", *future)
    yield environment
    environment.pip("uninstall", "--yes", *STRANGERS, "srv-torn")


def listed(environment, *options):
    rows = json.loads(environment.run("srv", "plugins", "--json", *options).stdout)
    return {f"{row['distribution']}:{row['name']}": row for row in rows}


def folder_of(tmp_path, runtime, settings="{}"):
    model = tmp_path / "mine"
    model.mkdir(exist_ok=True)
    (model / "model-settings.json").write_text(json.dumps({"runtime": runtime}))
    (tmp_path / "settings.json").write_text(settings)
    return tmp_path


def test_plugins_tells_what_metadata_says_of_each(strangers):
    rows = listed(strangers)

    assert {name: row["state"] for name, row in rows.items() if not row["ours"]} == {
        "srv-future:future": "refused",
        "srv-good-codec:x/csv": "found",
        "srv-good-command:hello": "found",
        "srv-good-hooks:audit": "found",
        "srv-good-runtime:double": "found",
        "srv-half:half": "found",
        "srv-misspelt:misspelt": "found",
        "srv-raises:raises": "found",
        "srv-rival-one:rival": "found",
        "srv-rival-two:rival": "found",
        "srv-slow:slow": "found",
        "srv-torn:entry_points.txt": "refused",
    }
    assert re.match(
        r"it requires srv-inference >=99, and this is srv-inference 0\.", rows["srv-future:future"]["reason"]
    )
    assert rows["srv-torn:entry_points.txt"]["reason"].startswith("entry_points.txt is unreadable: line 1 opens")
    assert rows["srv-rival-one:rival"]["reason"].startswith("contested: srv-rival-two brings the same name")


def test_load_tells_what_became_of_each_import(strangers):
    rows = listed(strangers, "--load")

    states = {name: row["state"] for name, row in rows.items()}
    assert states["srv-good-runtime:double"] == "loaded"
    assert states["srv-good-codec:x/csv"] == "loaded"
    assert states["srv-good-command:hello"] == "loaded"
    assert states["srv-good-hooks:audit"] == "loaded"
    assert {name: rows[name]["reason"] for name, state in states.items() if state == "quarantined"} == {
        "srv-half:half": "srv_codecs raised RuntimeError: half way",
        "srv-misspelt:misspelt": "srv has no hook called 'srv_model_laoded'. Did you mean 'srv_model_loaded'?",
        "srv-raises:raises": "RuntimeError: not today",
    }
    assert "srv-half:halved" not in rows
    assert rows["srv-slow:slow"]["import_seconds"] >= 5


def test_a_slow_import_may_be_given_up(strangers):
    row = listed(strangers, "--load", "--timeout", "3")["srv-slow:slow"]

    assert (row["state"], row["reason"]) == ("quarantined", "its import did not end within 3 s")


def test_a_strangers_command_is_listed_and_runs(strangers):
    assert re.search("^  hello +from srv-good-command", strangers.run("srv", "--help").stdout, re.MULTILINE)
    assert strangers.run("srv", "hello").stdout == "hello from afar\n"


def test_the_good_serve_while_the_bad_are_named_in_the_log(strangers, tmp_path):
    folder = folder_of(tmp_path, "double", '{"audit": {"word": "good day"}}')
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.5]}]}

    with running(folder, python=strangers.bin / "python") as server:
        answer = server.post("/v2/models/mine/infer", body)
        server.wait_for("audit saw a request for mine")  # the last of them
        log = server.output

    assert answer.json["outputs"][0]["data"] == [2.0, 5.0]
    assert "audit says good day" in log
    assert "'half' of srv-half 1.2 (half_hooks) is broken: srv_codecs raised RuntimeError: half way" in log
    assert "Did you mean 'srv_model_loaded'?" in log
    assert "slow_rt" not in log


def test_a_strangers_codec_reads_a_request(strangers, tmp_path):
    (tmp_path / "models.py").write_text(
        "from srv import Runtime\n\nclass Sum(Runtime):\n    def predict(self, request):\n"
        "        return float(request.decode('x').sum())\n"
    )
    (tmp_path / "model-settings.json").write_text('{"name": "sum", "implementation": "models.Sum"}')
    line = {
        "name": "x",
        "datatype": "BYTES",
        "shape": [1],
        "data": ["1,2,3.5"],
        "parameters": {"content_type": "x/csv"},
    }

    with running(tmp_path, python=strangers.bin / "python") as server:
        answer = server.post("/v2/models/sum/infer", {"inputs": [line]})

    assert answer.json["outputs"][0]["data"] in (6.5, [6.5])


FAILURES = {
    "contested": ("rival", "Both srv-rival-one and srv-rival-two bring a runtime called 'rival'."),
    "raises": ("raises", "The runtime 'raises' of srv-raises 1.2 (raises_rt:It) is broken: RuntimeError: not today."),
    "future": ("future", "The runtime 'future' of srv-future 1.2 is refused: it requires srv-inference >=99, and this"),
    "rolled back": ("halved", "No runtime is called 'halved'"),
}


@pytest.mark.parametrize("runtime, sentence", FAILURES.values(), ids=FAILURES)
def test_a_model_that_needs_what_is_not_there_fails_with_the_reason_last(strangers, tmp_path, runtime, sentence):
    answer = strangers.run("srv", "check", str(folder_of(tmp_path, runtime)), check=False)

    assert answer.returncode == 1
    assert sentence in answer.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "runtime, settings",
    [
        ("srv-rival-two:rival", "{}"),
        ("rival", '{"plugins": {"prefer": {"runtime:rival": "srv-rival-two"}}}'),
        ("rival", '{"plugins": {"disable": ["srv-rival-one"]}}'),
    ],
    ids=["by distribution", "preferred", "the other disabled"],
)
def test_a_contested_runtime_is_had_by_saying_which(strangers, tmp_path, runtime, settings):
    assert "mine: ready" in strangers.run("srv", "check", str(folder_of(tmp_path, runtime, settings))).stdout


def test_strict_stops_the_start_for_any_broken_plugin(strangers, tmp_path):
    folder = folder_of(tmp_path, "double", '{"plugins": {"strict": true}}')

    answer = strangers.run("srv", "start", str(folder), "--http-port", "0", "--grpc-port", "0", check=False)

    assert answer.returncode == 1
    assert (
        "plugins.strict is on, and the runtime 'future' of srv-future 1.2 is refused" in answer.stderr.splitlines()[-1]
    )


def test_a_wrong_section_of_a_plugin_stops_the_start(strangers, tmp_path):
    folder = folder_of(tmp_path, "double", '{"audit": {"size": "many"}}')

    answer = strangers.run("srv", "start", str(folder), "--http-port", "0", "--grpc-port", "0", check=False)

    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].endswith("settings.json: 'audit.size': Not a valid integer.")


def test_doctor_names_every_one_of_them_and_files_that_two_own(strangers):
    answer = strangers.run("srv", "doctor", check=False)

    assert answer.returncode == 1
    for name in ("srv-future", "srv-torn", "srv-half", "srv-misspelt", "srv-raises"):
        assert f"{name} 1." in answer.stdout
    assert "srv-rival-one and srv-rival-two both own " in answer.stdout
    assert "srv-rival-one and srv-rival-two bring a runtime called 'rival'" in answer.stdout
    assert answer.stderr.splitlines()[-1] == "6 problems were found."


def test_a_package_is_upgraded_to_a_broken_release_mended_and_removed(environment, build, tmp_path):
    def release(version, source):
        modules = {"brittle_rt": source}
        entry = "srv.runtimes =\n    brittle = brittle_rt:Double"
        return build(
            write_source(tmp_path / "src", "srv-brittle", entry, modules, version=version, requires=MADE_FOR_US)
        )

    models = tmp_path / "models"
    models.mkdir()
    folder_of(models, "brittle")
    try:
        environment.pip("install", *release("1.0", DOUBLE.format(factor=2)))
        assert "mine: ready" in environment.run("srv", "check", str(models)).stdout

        environment.pip("install", "--upgrade", *release("1.1", "import module_that_nobody_has"))
        answer = environment.run("srv", "check", str(models), check=False)
        assert "'brittle' of srv-brittle 1.1" in answer.stderr.splitlines()[-1]
        assert environment.run("srv", "plugins", "check", "srv-brittle", check=False).returncode == 1

        environment.pip("install", "--upgrade", *release("1.2", DOUBLE.format(factor=2)))
        assert "mine: ready" in environment.run("srv", "check", str(models)).stdout
    finally:
        environment.pip("uninstall", "--yes", "srv-brittle")
    answer = environment.run("srv", "check", str(models), check=False)
    assert "No runtime is called 'brittle'" in answer.stderr.splitlines()[-1]


# -- many ---------------------------------------------------------------------------------------------------------------

COMMANDS = (["--version"], ["--help"], ["plugins"])
UNWANTED = {"numpy", "msgspec", "falcon", "grpc", "gunicorn", "httptools", "docker"}


def cpu_seconds(environment, *arguments, times=7):
    """CPU time of a command, the median of several runs."""
    spent = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [environment.bin / "srv", *arguments], env=environment.environ, cwd=environment.folder, capture_output=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(spent)[times // 2]


def test_a_hundred_runtimes_and_a_hundred_hook_modules_are_not_imported(environment, tmp_path, figure):
    alone = {words[0]: cpu_seconds(environment, *words) for words in COMMANDS}
    wheels, names = [], []
    for number in range(100):
        hooks = "from srv import hookimpl\n\n@hookimpl\ndef srv_worker_stopping(): ...\n"
        for kind, group, source in (
            ("rt", "srv.runtimes", DOUBLE.format(factor=2)),
            ("hooks", "srv.plugins", hooks),
        ):
            names.append(f"srv-dummy-{kind}-{number}")
            value = f"dummy_{kind}_{number}" + (":Double" if kind == "rt" else "")
            entry = f"[{group}]\ndummy{number} = {value}\n"
            wheels.append(write_wheel(tmp_path, names[-1], entry, {value.partition(":")[0]: source}))
    environment.pip("install", "--no-deps", *map(str, wheels))
    try:
        for words in COMMANDS:
            code = (
                f"import sys; from srv.cli import run; code = run({words!r})\n"
                "print(code, *sys.modules, file=sys.stderr)"
            )
            said = environment.run("python", "-P", "-c", code).stderr.split()
            assert said[0] == "0"
            modules = set(said[1:])
            assert modules.isdisjoint(UNWANTED)
            assert not [name for name in modules if name.startswith("dummy_")]
        beside = {words[0]: cpu_seconds(environment, *words) for words in COMMANDS}
        rows = listed(environment)
    finally:
        environment.pip("uninstall", "--yes", *names)
    assert sum(name.startswith("srv-dummy") for name in rows) == 200
    for command, seconds in beside.items():
        figure(
            f"srv {command}: {alone[command] * 1000:.0f} ms of CPU alone, {seconds * 1000:.0f} ms beside 200 "
            f"plugins, ratio {seconds / alone[command]:.2f}"
        )
