"""`srv check`: what a server would load, without a server."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from servers import write_model
from web_server import web_server

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


def test_a_model_tells_which_codecs_its_own_folder_brings(tmp_path):
    place = write_model(tmp_path, "double")
    (place / "kinds.py").write_text(
        "from srv import InputCodec\nclass Coins(InputCodec):\n    content_type = 'coins'\n"
    )
    (place / "model-settings.json").write_text('{"implementation": "models.Model", "codecs": ["kinds.Coins"]}')
    assert check(tmp_path).stdout.endswith(": anything -> anything; its own codecs: coins (kinds.Coins)\n")
    assert json.loads(check(tmp_path, "--json").stdout)[0]["codecs"] == {"coins": "kinds.Coins"}


CODEC = "from srv import InputCodec\nclass Coins(InputCodec):\n    content_type = 'coins'\n"


@pytest.fixture
def default_runtime(tmp_path):
    """A folder with a default runtime and no model, for models that come later."""
    place = write_model(tmp_path, "served")
    (place / "models.py").write_text(CODEC + (place / "models.py").read_text())
    (place / "settings.json").write_text('{"models_dir": "later"}')
    (place / "later").mkdir()
    return place


def test_a_default_runtime_is_told_on_stderr_and_each_model_names_its_class(default_runtime):
    (default_runtime / "a").mkdir()
    (default_runtime / "a" / "model-settings.json").write_text("{}")
    checked = check(default_runtime)
    assert checked.returncode == 0
    assert f"{default_runtime}/model-settings.json gives 'models.Model' as the default runtime" in checked.stderr
    assert checked.stdout.startswith("a: ready in ")
    assert checked.stdout.endswith("with models.Model: anything -> anything; its own codecs: coins (models.Coins)\n")


def test_a_default_runtime_without_a_model_is_imported_all_the_same(default_runtime):
    checked = check(default_runtime)
    assert checked.returncode == 0
    assert checked.stdout == "default runtime: models.Model; its own codecs: coins (models.Coins)\n"

    (default_runtime / "models.py").write_text("import not_installed\n")
    checked = check(default_runtime)
    assert checked.returncode == 1
    assert checked.stderr.splitlines()[-1] == (
        "The default runtime 'models.Model' cannot be used: ModuleNotFoundError: No module named 'not_installed'."
    )


def test_a_folder_with_nothing_to_check_says_what_would_be_a_model_and_the_exit_code_is_1(tmp_path):
    checked = check(tmp_path)
    assert checked.returncode == 1
    said = checked.stderr.splitlines()[-1]
    assert said.startswith(f"No model is in {tmp_path}. A model is a folder with a model-settings.json")
    assert said.endswith(" There is no settings.json either, so nothing was checked.")


@pytest.mark.parametrize("where", ["settings.json", "models_dir"])
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["for people", "for programs"])
def test_settings_without_a_model_are_a_warning_because_models_may_come_later(tmp_path, where, flags):
    if where == "settings.json":
        (tmp_path / "settings.json").write_text("{}")
        checked = check(tmp_path, *flags)
    else:
        (tmp_path / "mounted").mkdir()
        checked = check(tmp_path, "--models-dir", str(tmp_path / "mounted"), *flags)
    assert checked.returncode == 0
    assert f"No model is in {tmp_path}." in checked.stderr
    assert checked.stdout == ("[]\n" if flags else "")


def test_an_old_name_of_a_plugin_is_understood_and_the_new_one_is_told(tmp_path):
    write_model(tmp_path, "double")
    (tmp_path / "settings.json").write_text('{"remember": {"models": ["double"]}}')
    checked = check(tmp_path)
    assert checked.returncode == 0
    assert "the plugin 'remember' is now called 'cache'. Rename its section." in checked.stderr


def test_every_model_is_tried_and_the_reasons_come_last_with_exit_code_1(tmp_path):
    write_model(tmp_path, "broken", load="raise ValueError('no such weights')")
    write_model(tmp_path, "double")
    write_model(tmp_path, "unwilling", load="return False")
    checked = check(tmp_path)
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[0] == "broken: not ready"
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


def test_a_failure_is_told_once_with_its_place_and_its_reason_last(tmp_path):
    write_model(tmp_path, "broken", load="weights = None\nraise ValueError(f'no such {weights}')")
    (write_model(tmp_path, "settings") / "model-settings.json").write_text(
        '{"implementation": "m.M", "max_queue": "x"}'
    )
    checked = check(tmp_path)
    assert checked.returncode == 1
    assert (checked.stdout + checked.stderr).count("no such None") == 1
    assert (checked.stdout + checked.stderr).count("'max_queue' must be") == 1
    first, *places, last = checked.stderr.splitlines()
    assert first == "broken failed here:"
    assert places == [
        f'  File "{tmp_path}/broken/models.py", line 9, in load',
        "    raise ValueError(f'no such {weights}')",
    ]
    assert last.startswith("2 models could not be loaded. broken: ValueError: no such None. settings: ")


def test_code_that_is_no_python_is_shown_without_srvs_own_frames(tmp_path):
    (write_model(tmp_path, "broken") / "models.py").write_text("class Model(:\n")
    checked = check(tmp_path)
    assert checked.stderr.splitlines()[1] == f'  File "{tmp_path}/broken/models.py", line 1'
    assert "model_imports.py" not in checked.stderr


@pytest.mark.parametrize(
    ("wanted", "code", "places"),
    [
        ("import nosuchmodule", None, ["models.py"]),
        ("from helping import nothing", "x = 1\n", ["models.py"]),
        ("import helping", "import nosuchmodule\n", ["models.py", "helping.py"]),
        ("import helping", "1 / 0\n", ["models.py", "helping.py"]),
    ],
    ids=["no such module", "no such name", "no such module in a file beside", "an error in a file beside"],
)
def test_a_failed_import_shows_the_models_own_lines_alone(tmp_path, wanted, code, places):
    folder = write_model(tmp_path, "broken")
    (folder / "models.py").write_text(f"{wanted}\n")
    if code is not None:
        (folder / "helping.py").write_text(code)
    files = re.findall(r'File "(.*?)"', check(tmp_path).stderr)
    assert files == [str(folder / place) for place in places]


def test_what_is_ignored_is_told_as_at_a_start(tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    checked = subprocess.run(
        [sys.executable, "-m", "srv", "--no-plugin", "nosuch", "check", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"SRV_HTTP_PROT": "1"},
    )
    assert checked.returncode == 0
    assert "SRV_HTTP_PROT is not a setting of srv and is ignored. Did you mean 'SRV_HTTP_PORT'?" in checked.stderr
    assert "--no-plugin names 'nosuch', which no installed plugin is called." in checked.stderr


def test_a_model_that_is_the_folder_itself_is_called_as_the_flag_says(tmp_path):
    place = write_model(tmp_path, "double")
    assert check(place, "--root-name", "forecast").stdout.startswith("forecast: ready in ")
    assert check(place, "--root-name", "no name").returncode == 2


def send_the_rest_after_a_second(page):
    page.half.wait(60)
    time.sleep(1.1)  # the log tells of downloads that last a second
    page.rest.set()


def test_a_download_that_lasts_tells_how_far_it_is_on_stderr(tmp_path, monkeypatch):
    monkeypatch.setenv("SRV_CACHE_DIR", str(tmp_path / "cache"))
    with web_server() as web:
        page = web.put("/weights", bytes(100_000), rest=threading.Event())
        place = write_model(tmp_path / "models", "double", load="self.artifact().stat()")
        settings = {"implementation": "models.Model", "parameters": {"uri": web.url("/weights", user="anna:secret")}}
        (place / "model-settings.json").write_text(json.dumps(settings))
        late = threading.Thread(target=send_the_rest_after_a_second, args=(page,))
        late.start()
        checked = check(tmp_path / "models")
        late.join()
    assert checked.returncode == 0
    assert "Model 'double': 100 kB of 100 kB (100 %) of http://***@127.0.0.1" in checked.stderr
    assert "secret" not in checked.stderr
