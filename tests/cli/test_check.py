"""`srv check`: what a server would load, without a server."""

import json
import subprocess
import sys

import pytest
from servers import write_model

pytestmark = pytest.mark.e2e


def check(folder, *flags):
    return subprocess.run(
        [sys.executable, "-m", "srv", "check", str(folder), *flags], capture_output=True, text=True, timeout=60
    )


def test_models_that_load_have_a_line_each_and_the_exit_code_is_0(tmp_path):
    write_model(tmp_path, "double")
    write_model(tmp_path, "triple")
    checked = check(tmp_path)
    assert checked.returncode == 0
    assert checked.stderr == ""
    first, second = checked.stdout.splitlines()
    assert first.startswith("double: ready in 0.")
    assert first.endswith(" s with models.Model: anything -> anything")
    assert second.startswith("triple: ready in ")


def test_a_model_tells_what_it_takes_and_gives(tmp_path):
    place = write_model(tmp_path, "double")
    settings = {
        "implementation": "models.Model",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1, 4]}],
    }
    (place / "model-settings.json").write_text(json.dumps(settings))
    assert check(tmp_path).stdout.endswith(": x FP32[-1,4] -> output FP32[-1,4]\n")


def test_a_folder_without_models_says_what_would_be_one(tmp_path):
    checked = check(tmp_path)
    assert checked.returncode == 0
    assert checked.stdout.startswith(f"No model is in {tmp_path}. A model is a folder with a model-settings.json")


def test_every_model_is_tried_and_the_reasons_come_last_with_exit_code_1(tmp_path):
    write_model(tmp_path, "broken", load="raise ValueError('no such weights')")
    write_model(tmp_path, "double")
    write_model(tmp_path, "unwilling", load="return False")
    checked = check(tmp_path)
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[0] == "broken: not ready: ValueError: no such weights"
    assert checked.stdout.splitlines()[1].startswith("double: ready in ")
    assert checked.stderr.splitlines()[-1] == (
        "2 models could not be loaded. broken: ValueError: no such weights. "
        "unwilling: LoadedNothing: load() returned False."
    )


def test_programs_read_json(tmp_path):
    write_model(tmp_path, "broken", load="raise ValueError('no such weights')")
    write_model(tmp_path, "double")
    checked = check(tmp_path, "--json")
    assert checked.returncode == 1
    broken, double = json.loads(checked.stdout)
    assert (broken["name"], broken["ready"], broken["reason"]) == ("broken", False, "ValueError: no such weights")
    assert (double["name"], double["version"], double["ready"]) == ("double", None, True)
    assert double["runtime"] == "models.Model"


def test_settings_that_cannot_be_used_are_one_sentence(tmp_path):
    (tmp_path / "settings.json").write_text('{"wrokers": 2}')
    checked = check(tmp_path)
    assert checked.returncode == 1
    assert checked.stdout == ""
    assert checked.stderr.count("\n") == 1
    assert "wrokers" in checked.stderr


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    checked = check(tmp_path / "nowhere")
    assert checked.returncode == 1
    assert checked.stderr.count("\n") == 1


def test_a_model_that_prints_does_not_spoil_the_json(tmp_path):
    write_model(tmp_path, load="print('hello')")
    assert json.loads(check(tmp_path, "--json").stdout)[0]["name"] == "double"


def test_a_thread_that_a_model_leaves_running_does_not_keep_the_command(tmp_path):
    load = "import threading\nthreading.Thread(target=threading.Event().wait, name='poller').start()"
    write_model(tmp_path, load=load)
    checked = check(tmp_path)
    assert checked.returncode == 0
    assert checked.stderr == "A model or a plugin left threads running, which end now: poller.\n"
    assert ": ready in " in checked.stdout
