"""What a folder, its settings and plugins make of an image's plan."""

import json
import sys
from pathlib import Path

import pytest

from srv.errors import SrvError
from srv.hooks import PlanFailed
from srv.version import __version__

SRV = f"srv-inference=={__version__}"
RUNTIME = "from srv import Runtime\nclass Kiln(Runtime): ...\n"


def add_kiln(site, folder=None, **options):
    info = site.add("srv-kiln", "[srv.runtimes]\nkiln = kiln:Kiln [model.kiln]\n", modules={"kiln": RUNTIME}, **options)
    if folder is not None:
        direct = {"url": Path(folder).as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(direct))


def test_a_plain_folder_gets_srv_as_it_is_installed_on_the_python_that_runs(plan):
    made = plan()

    assert made.base_image == f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    assert made.requirements == [SRV]
    assert (made.conda_file, made.requirements_files, made.wheels, made.notes) == (None, [], [], [])


def test_the_model_that_is_the_folder_is_called_as_outside(plan):
    assert plan().command == ["python", "-P", "-m", "srv", "start", "/srv/app", "--root-name", "scale"]


def test_a_model_with_a_name_of_its_own_needs_no_root_name(plan):
    assert plan({"model-settings.json": {"implementation": "models.Scale", "name": "other"}}).root_name is None


def test_defaults_for_models_in_folders_need_no_root_name(plan, site):
    add_kiln(site)
    files = {"model-settings.json": {"runtime": "kiln"}, "a/model-settings.json": {"implementation": "m.A"}}

    assert plan(files).root_name is None


def test_a_folder_that_gives_only_defaults_is_no_model_in_the_image_where_models_are_mounted(plan, site):
    add_kiln(site)

    made = plan({"model-settings.json": {"runtime": "kiln"}})

    assert made.models == ()
    assert made.root_name is None
    assert made.requirements == [SRV, "srv-kiln==1.0"]


DEFAULTS = {"SRV_HOST": "0.0.0.0", "SRV_MODELS_DIR": "/mnt/models", "SRV_PLUGINS__STRICT": "true"}


@pytest.mark.parametrize(
    "settings, variables",
    [
        ({}, DEFAULTS),
        ({"host": "127.0.0.1"}, {name: value for name, value in DEFAULTS.items() if name != "SRV_HOST"}),
        ({"models_dir": "/elsewhere"}, {name: value for name, value in DEFAULTS.items() if name != "SRV_MODELS_DIR"}),
        ({"plugins": {"strict": False}}, {name: value for name, value in DEFAULTS.items() if "STRICT" not in name}),
        ({"plugins": {"disable": []}}, DEFAULTS),
        ({"http_port": 9000}, {**DEFAULTS, "SRV_HTTP_PORT": "9000"}),
    ],
    ids=["nothing said", "host", "models_dir", "strict", "other plugins' words", "port"],
)
def test_the_image_sets_what_the_folder_s_settings_do_not_say(plan, settings, variables):
    env = plan({"settings.json": settings}).env

    assert {name: value for name, value in env.items() if name.startswith("SRV_")} == variables


@pytest.mark.parametrize(
    "settings, ports, health",
    [
        ({}, [8080, 8081], []),
        ({"http_port": 9000, "grpc_port": None}, [9000], []),
        ({"host": "unix:/tmp/srv.sock"}, [8081], ["--url", "unix:/tmp/srv.sock"]),
    ],
)
def test_ports_and_health_check_are_those_of_the_settings(plan, settings, ports, health):
    made = plan({"settings.json": settings})

    assert made.ports == ports
    assert made.health == ["python", "-P", "-m", "srv", "health", *health]


def test_the_environment_of_this_machine_says_nothing(plan, monkeypatch):
    monkeypatch.setenv("SRV_HTTP_PORT", "9999")
    monkeypatch.setenv("SRV_MODEL__RUNTIME", "nobody")

    assert plan().ports == [8080, 8081]


# -- what the settings name -------------------------------------------------------------------------------------------


def test_distributions_that_the_settings_name_come_along_as_they_are_installed(plan, site):
    add_kiln(site, version="2.1+cpu")
    site.add("srv-coins", "[srv.codecs]\ncoins = coins:Coins\n", version="0.3")
    site.add("srv-audit", "[srv.plugins]\naudit = audit_hooks\n", modules={"audit_hooks": AUDIT})
    site.add("srv-unused", "[srv.runtimes]\nunused = unused:Unused\n")

    made = plan(
        {
            "settings.json": {"audit": {}},
            "a/model-settings.json": {"runtime": "kiln", "parameters": {"content_type": "coins"}},
            "b/model.kiln": "",
        }
    )

    assert made.requirements == ["srv-audit==1.0", "srv-coins==0.3", SRV, "srv-kiln==2.1"]
    assert [model.name for model in made.models] == ["a", "b", "scale"]


AUDIT = """
from marshmallow import Schema
from srv import hookimpl

@hookimpl
def srv_settings_schema():
    return Schema
"""


def test_a_content_type_for_tables_brings_pandas_along(plan, site):
    site.add("pandas", "", version="2.2.3", requires=())

    made = plan({"model-settings.json": {"implementation": "m.M", "parameters": {"content_type": "pd"}}})

    assert made.requirements == ["pandas==2.2.3", SRV]


@pytest.mark.parametrize("only", ["srv-kiln", "kiln"])
def test_plugins_only_names_distributions_too(plan, site, only):
    add_kiln(site)

    assert plan({"settings.json": {"plugins": {"only": [only]}}}).requirements == [SRV, "srv-kiln==1.0"]


def test_the_user_s_requirements_hold_where_they_name_something(plan, site):
    add_kiln(site)

    made = plan({"requirements.txt": "Srv.Kiln>=3\n", "a/model-settings.json": {"runtime": "kiln"}})

    assert made.requirements_files == ["requirements.txt"]
    assert made.requirements == [SRV]


def test_conda_file_and_requirements_go_together(plan):
    conda = "dependencies: [xgboost, {pip: [srv-inference, -r more.txt]}]"

    made = plan({"environment.yml": conda, "more.txt": "joblib", "requirements.txt": "pandas"})

    assert made.conda_file == "environment.yml"
    assert made.conda_specs[1:] == ["pip"]
    assert made.requirements_files == ["requirements.txt"]
    assert made.requirements_needs == ["more.txt"]
    assert made.named == {"xgboost", "srv-inference", "joblib", "pandas"}
    assert made.requirements == []


def test_requirements_that_the_conda_file_includes_are_there_when_it_is_read(plan):
    made = plan({"conda.yaml": "dependencies: [{pip: [-r requirements.txt]}]", "requirements.txt": "joblib"})

    assert made.requirements_needs == ["requirements.txt"]


def test_a_runtime_that_nobody_has_is_an_error_and_with_an_environment_file_a_note(plan):
    with pytest.raises(SrvError, match="'kiln'"):
        plan({"a/model-settings.json": {"runtime": "kiln"}})

    (note,) = plan({"requirements.txt": "srv-kiln\n"}).notes
    assert "'kiln'" in note
    assert note.endswith("The image has it only if the environment's files bring it.")


# -- what is not on an index ------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    made = tmp_path / "a checkout"
    made.mkdir()
    (made / "kiln.py").write_text(RUNTIME)
    (made / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "srv-kiln"\nversion = "1.5"\n[tool.setuptools]\npy-modules = ["kiln"]\n'
    )
    return made


def test_a_checkout_travels_as_a_wheel_that_is_the_same_each_time(plan, site, checkout, tmp_path):
    add_kiln(site, checkout)
    files = {"a/model-settings.json": {"runtime": "kiln"}}

    made = plan(files)
    before = made.wheels[0].read_bytes()

    assert [wheel.name for wheel in made.wheels] == ["srv_kiln-1.5-py3-none-any.whl"]
    assert made.requirements == [SRV, "srv-kiln==1.5"]
    assert plan(files).wheels[0].read_bytes() == before
    assert not (checkout / "build").exists()


def test_what_a_named_distribution_needs_travels_too(plan, site, checkout):
    add_kiln(site, checkout)
    site.add("srv-oven", "[srv.runtimes]\noven = oven:Oven\n", requires=("srv-kiln>=1",))

    made = plan({"a/model-settings.json": {"runtime": "oven"}})

    assert made.requirements == [SRV, "srv-oven==1.0"]
    assert [wheel.name for wheel in made.wheels] == ["srv_kiln-1.5-py3-none-any.whl"]


def test_a_wheel_file_travels_as_it_is_and_one_that_is_gone_is_a_sentence(plan, site, tmp_path):
    wheel = tmp_path / "srv_kiln-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    add_kiln(site, wheel)
    files = {"a/model-settings.json": {"runtime": "kiln"}}
    assert plan(files).wheels[0].read_bytes() == b"a wheel"

    wheel.unlink()

    with pytest.raises(SrvError, match=r"srv-kiln was installed from .*\.whl, which is not there any more"):
        plan(files)


def test_a_checkout_that_makes_no_wheel_is_told_with_its_last_lines(plan, site, checkout):
    (checkout / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'nothing'\n")
    add_kiln(site, checkout)

    with pytest.raises(SrvError, match=r"(?s)No wheel could be made of srv-kiln.*nothing"):
        plan({"a/model-settings.json": {"runtime": "kiln"}})


# -- folders that would not serve -------------------------------------------------------------------------------------


def test_broken_settings_are_told_before_anything_is_written(plan):
    with pytest.raises(SrvError, match=r"model-settings\.json, line 1: 'runtim' is not a setting of srv"):
        plan({"a/model-settings.json": {"runtim": "x"}})


@pytest.mark.parametrize(
    "target, why",
    [("../../outside", "lies outside of the folder"), ("/etc/passwd", "begins at the root"), ("link", "in a circle")],
)
def test_a_link_that_leaves_the_folder_is_refused_unless_it_is_left_out(plan, folder, target, why):
    (folder / "link").symlink_to(target)
    with pytest.raises(SrvError, match=f"'link' is a link to '{target}', which .*{why}"):
        plan()

    assert plan({".dockerignore": "link\n"}).ignore == ["link"]


def test_a_link_within_the_folder_is_fine(plan, folder):
    (folder / "data").mkdir()
    (folder / "data" / "here").symlink_to("../models.py")

    assert plan().notes == []


def test_a_dockerignore_that_hides_an_environment_file_is_refused(plan):
    with pytest.raises(SrvError, match=r"leaves out requirements\.txt.*'!requirements\.txt'"):
        plan({"requirements.txt": "", ".dockerignore": "*.txt\n"})


def test_artifacts_outside_of_the_folder_are_told(plan, tmp_path):
    (tmp_path / "weights").mkdir()

    (note,) = plan({"model-settings.json": {"implementation": "m.M", "parameters": {"uri": "../weights"}}}).notes

    assert note == (
        "Model 'scale' has its artifacts outside of the folder, at '../weights', so the image has them not. "
        "Mount them there."
    )


# -- plugins ----------------------------------------------------------------------------------------------------------

HOOK = """
from srv import hookimpl

@hookimpl
def srv_image_plan(plan):
    plan.base_image = "python:3.11-bookworm"
    plan.system_packages.append("libgomp1")
    plan.env["OMP_NUM_THREADS"] = str(len(plan.models))
"""


def test_a_plugin_of_somebody_else_s_changes_base_packages_and_variables(plan, site):
    site.add("srv-gpu", "[srv.plugins]\ngpu = gpu_hooks\n", modules={"gpu_hooks": HOOK})

    made = plan()

    assert (made.base_image, made.system_packages, made.env["OMP_NUM_THREADS"]) == (
        "python:3.11-bookworm",
        ["libgomp1"],
        "1",
    )
    assert plan(base_image="mine:1").base_image == "mine:1"
    assert plan({"settings.json": {"plugins": {"disable": ["gpu"]}}}).system_packages == []


def test_a_plugin_that_fails_ends_the_plan(plan, site):
    site.add("srv-gpu", "[srv.plugins]\ngpu = gpu_hooks\n", modules={"gpu_hooks": HOOK + "    1 / 0\n"})

    with pytest.raises(PlanFailed, match=r"'gpu' of srv-gpu 1\.0"):
        plan()
