"""`srv start --reload` as its author sees it: edit, ask again."""

import json
import shutil
from textwrap import dedent

import pytest
from distributions import Site
from servers import eventually, launched, numbers, running, write_model

pytestmark = pytest.mark.e2e

RUNTIME = """
    import numpy as np
    from srv import Runtime

    class Times(Runtime):
        def predict(self, x: np.ndarray) -> np.ndarray:
            return {} * x
"""
HOOKS = """
    from srv import hookimpl

    @hookimpl
    def srv_before_infer(request):
        {}
"""


def answer_of(server, model="double"):
    answer = server.post(f"/v2/models/{model}/infer", numbers(1))
    return answer.json["outputs"][0]["data"] if answer.status == 200 else answer.status


@pytest.fixture
def package(tmp_path):
    """A package that somebody develops: importable, and nowhere near site-packages."""
    site = Site(tmp_path / "site")
    site.add("srv-times", "[srv.runtimes]\ntimes = times_dev:Times\n[srv.plugins]\ntimes = times_hooks\n")

    def write(factor, *, hook="return None"):
        (site.folder / "times_dev.py").write_text(dedent(RUNTIME.format(factor)))
        (site.folder / "times_hooks.py").write_text(dedent(HOOKS.format(hook)))
        return {"PYTHONPATH": str(site.folder)}

    place = tmp_path / "models" / "times"
    place.mkdir(parents=True)
    (place / "model-settings.json").write_text('{"runtime": "times"}')
    return write


def test_models_are_edited_broken_mended_added_and_removed_while_the_server_runs(tmp_path):
    place = write_model(tmp_path, predict="from sizes import SIZE\nreturn SIZE * x")
    (place / "sizes.py").write_text("SIZE = 2\n")
    with running(tmp_path, "--reload") as server:
        workers = server.workers()
        assert answer_of(server) == [2]

        (place / "sizes.py").write_text("SIZE = 3\n")
        server.wait_for("double/sizes.py has changed: loading model 'double' again")
        server.wait_for("Model 'double' loaded", times=2)
        assert answer_of(server) == [3]

        write_model(tmp_path, load="return weights")
        server.wait_for(
            r"Model 'double' goes on as it was: NameError: name 'weights' is not defined \(models.py, line 8\)"
        )
        assert answer_of(server) == [3]
        assert server.get("/v2/health/ready").status == 200

        (place / "model-settings.json").write_text('{"implementation": "models.Model", "platfrom": "mine"}')
        server.wait_for("Model 'double' goes on as it was: .*'platfrom' is not a setting of srv")
        assert answer_of(server) == [3]

        write_model(tmp_path, predict="return 4 * x")
        (place / "model-settings.json").write_text('{"implementation": "models.Model", "platform": "mine"}')
        server.wait_for("Model 'double' loaded", times=3)
        eventually(lambda: answer_of(server) == [4])
        eventually(lambda: server.get("/v2/models/double").json["platform"] == "mine")

        write_model(tmp_path, "new")
        server.wait_for("Model 'new' loaded")
        assert answer_of(server, "new") == [2]

        shutil.rmtree(tmp_path / "new")
        server.wait_for("Model 'new' is not in the repository any more")
        assert answer_of(server, "new") == 404
        assert server.workers() == workers
        assert server.stop() == 0


def test_a_start_with_a_broken_model_waits_for_the_edit(tmp_path):
    write_model(tmp_path, load="return weights")
    with running(tmp_path, "--reload", "--workers", "3") as server:
        assert "With --reload one worker serves, not 3 (--workers)." in server.output
        assert server.get("/v2/health/ready").status == 503
        write_model(tmp_path)
        eventually(lambda: answer_of(server) == [2])
        assert server.get("/v2/health/ready").status == 200
        assert len(server.workers()) == 1


def test_a_change_of_the_servers_settings_says_that_a_start_is_needed(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--reload") as server:
        (tmp_path / "settings.json").write_text(json.dumps({"request_timeout": 5}))
        server.wait_for(
            r"settings.json has changed \(request_timeout\), and the server goes by what it said at the start"
        )
        assert answer_of(server) == [2]


def test_a_package_that_is_developed_brings_new_workers_and_a_broken_one_does_not(tmp_path, package):
    with running(tmp_path / "models", "--reload", environ=package(2)) as server:
        assert answer_of(server, "times") == [2]

        package(3)
        server.wait_for("times_dev.py has changed, and new workers read it")
        server.wait_for("Reloaded: new workers serve times")
        eventually(lambda: answer_of(server, "times") == [3])
        eventually(lambda: len(server.workers()) == 1)

        package("weights")
        server.wait_for("Reloaded: ", times=2)  # an error of predict is no error of loading
        eventually(lambda: answer_of(server, "times") == 500)
        eventually(lambda: len(server.workers()) == 1)

        package("5 5")
        server.wait_for("The reload failed, and the old workers go on: .*SyntaxError: invalid syntax")
        eventually(lambda: len(server.workers()) == 1)
        assert answer_of(server, "times") == 500

        package(6)
        server.wait_for("Reloaded: ", times=3)
        eventually(lambda: answer_of(server, "times") == [6])
        eventually(lambda: len(server.workers()) == 1)
        assert server.stop() == 0


def test_a_hook_module_that_breaks_does_not_take_effect(tmp_path, package):
    with running(tmp_path / "models", "--reload", environ=package(2)) as server:
        package(2, hook="return None)")
        server.wait_for(
            "The reload failed, and the old workers go on: .*'times' of srv-times .* is broken: SyntaxError"
        )
        assert answer_of(server, "times") == [2]
        package(2, hook="raise RuntimeError")
        server.wait_for("Reloaded: ")
        eventually(lambda: answer_of(server, "times") == 500)


def test_a_model_that_came_by_an_edit_is_there_after_a_crash(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--reload") as server:
        write_model(tmp_path, "new", predict="if x[0] == 7:\n    os._exit(1)\nreturn x")
        shutil.rmtree(tmp_path / "double")
        server.wait_for("Model 'new' loaded")
        server.wait_for("Model 'double' is not in the repository any more")
        with pytest.raises(OSError):
            server.post("/v2/models/new/infer", numbers(7))
        server.wait_for("Another one takes its place")
        server.wait_for("Watching ", times=2)
        assert answer_of(server, "new") == [1]
        assert server.get("/v2/health/ready").status == 200


def test_without_the_flag_nothing_is_looked_at(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as server:
        assert server.stop() == 0
        assert "Watching" not in server.output


def test_the_end_comes_at_once_while_something_is_looked_for(tmp_path):
    write_model(tmp_path)
    with launched(tmp_path, "--reload") as server:
        server.wait_for("Watching ")
        assert server.stop(timeout=10) == 0


def test_a_load_that_hangs_is_overtaken_by_the_next_edit_and_delays_no_other_model(tmp_path):
    write_model(tmp_path)
    write_model(tmp_path, "other")
    with running(tmp_path, "--reload") as server:
        write_model(tmp_path, load=f"while not Path({str(tmp_path / 'gone')!r}).exists():\n    time.sleep(0.02)")
        server.wait_for("loading model 'double' again")
        server.wait_for(r"Model 'double' has been loading for \d+ s; it is in models.py, line \d+, load\(\)")
        (tmp_path / "other" / "model-settings.json").unlink()
        server.wait_for("Model 'other' is not in the repository any more and is gone.")
        write_model(tmp_path, predict="return 3 * x")
        eventually(lambda: answer_of(server) == [3])
        (tmp_path / "gone").touch()
        server.wait_for("it was unloaded or loaded anew before its load had ended")
        assert answer_of(server) == [3]


def test_edits_while_clients_load_the_model_too_leave_one_generation(tmp_path):
    place = write_model(tmp_path)
    with (place / "models.py").open("a") as source:
        source.write("\n    def unload(self):\n        os.write(1, b'unloaded\\n')\n")
    source = (place / "models.py").read_text()
    with running(tmp_path, "--reload") as server:
        for factor in (3, 4, 5):
            (place / "models.py").write_text(source.replace("return 2", f"return {factor}"))
            for _ in range(2):
                assert server.post("/v2/repository/models/double/load", {}).status == 200
            server.wait_for("double/models.py has changed: loading model 'double' again", times=factor - 2)
            server.wait_for("Model 'double' loaded in", times=1 + 3 * (factor - 2))  # before the file is written again
        eventually(lambda: answer_of(server) == [5])
        assert server.stop() == 0
        loads = len([line for line in server.lines if "Model 'double' loaded in" in line])
        assert loads >= 10
        assert server.lines.count("unloaded") == loads
