"""What a folder, its settings and plugins make of an image's plan."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from srv.discovery.errors import UnknownPlugin
from srv.errors import SrvError
from srv.hooks import PlanFailed
from srv.repository import Repository
from srv.settings import read_server_settings
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


@pytest.mark.parametrize("files", [{}, {"RECORD": "kiln.py,,\n"}], ids=["no RECORD", "a RECORD of files that are gone"])
def test_the_version_is_that_of_the_installation_that_counts_and_not_of_metadata_left_over(
    plan, site, tmp_path, monkeypatch, files
):
    left = tmp_path / "earlier" / "srv_kiln-0.9.dist-info"
    left.mkdir(parents=True)
    head = "Metadata-Version: 2.1\nName: srv-kiln\nVersion: 0.9\nRequires-Dist: nobody-has-this\n"
    for name, text in {"METADATA": head, **files}.items():
        (left / name).write_text(text)
    (left / "direct_url.json").write_text(json.dumps({"url": "file:///gone", "dir_info": {"editable": True}}))
    add_kiln(site)
    monkeypatch.syspath_prepend(str(left.parent))

    made = plan({"model-settings.json": {"runtime": "kiln"}})

    assert (made.requirements, made.wheels) == ([SRV, "srv-kiln==1.0"], [])


def test_a_folder_that_gives_only_defaults_is_no_model_in_the_image_where_models_are_mounted(plan, site):
    add_kiln(site)

    made = plan({"model-settings.json": {"runtime": "kiln"}})

    assert made.models == ()
    assert made.root_name is None
    assert made.requirements == [SRV, "srv-kiln==1.0"]


IMAGE = {"host": "0.0.0.0", "models_dir": Path("/mnt/models"), "strict": True, "http_port": 8080}


@pytest.mark.parametrize(
    "baked, mounted, said",
    [
        ({}, None, {}),
        ({"host": "::"}, None, {"host": "::"}),
        ({"host": "::"}, {}, {}),
        ({}, {"host": "::"}, {"host": "::"}),
        ({"http_port": 9000}, {"http_port": 9001}, {"http_port": 9001}),
        ({}, {"models_dir": None}, {"models_dir": None}),
        ({}, {"plugins": {"strict": False}}, {"strict": False}),
        ({"plugins": {"strict": False}}, {"plugins": {"disable": []}}, {}),
    ],
    ids=[
        "nothing said",
        "host",
        "host, unsaid again",
        "mounted host",
        "ports",
        "mounted models_dir",
        "mounted strict",
        "strict, unsaid again",
    ],
)
def test_the_image_s_own_defaults_are_below_the_file_that_is_baked_in_and_the_one_that_is_mounted_over_it(
    plan, tmp_path, baked, mounted, said
):
    made = plan({"settings.json": baked})
    (tmp_path / "settings.json").write_text(json.dumps(baked if mounted is None else mounted))

    settings = read_server_settings(tmp_path, environ=made.env)

    found = {name: getattr(settings, name) for name in ("host", "models_dir", "http_port")}
    assert {**found, "strict": settings.plugins.strict} == {**IMAGE, **said}


def test_a_variable_of_the_container_is_over_the_image_s_defaults_and_the_file(plan, tmp_path):
    made = plan({"settings.json": {"host": "::"}})

    assert read_server_settings(tmp_path, environ={**made.env, "SRV_HOST": "10.0.0.1"}).host == "10.0.0.1"


@pytest.mark.parametrize(
    "settings, ports",
    [
        ({}, [8080, 8081]),
        ({"http_port": 9000, "grpc_port": None}, [9000]),
        ({"host": "unix:/tmp/srv.sock"}, [8081]),
        ({"tls": {"certfile": "c.pem", "keyfile": "k.pem"}}, [8080, 8081]),
    ],
)
def test_ports_are_those_of_the_settings_and_the_health_check_reads_them(plan, settings, ports):
    made = plan({"settings.json": settings})

    assert made.ports == ports
    assert made.health == ["python", "-P", "-m", "srv", "health", "/srv/app"]
    assert not any("health check" in note for note in made.notes)


@pytest.mark.parametrize(
    "settings, note",
    [
        (
            {"tls": {"certfile": "c.pem", "keyfile": "k.pem", "client_ca": "ca.pem"}},
            "The image has no health check, because the server asks its clients for a certificate.",
        ),
        ({"http_port": 0}, "The image has no health check, because http_port 0 takes another port at each start."),
    ],
    ids=["client_ca", "any port"],
)
def test_where_no_health_check_can_ask_there_is_none_and_a_note(plan, settings, note):
    made = plan({"settings.json": settings})

    assert made.health == []
    assert note in made.notes


def test_a_host_that_nobody_reaches_in_a_container_is_told(plan):
    (note,) = plan({"settings.json": {"host": "127.0.0.1"}}).notes

    assert note.startswith("settings.json says that host is '127.0.0.1', so nobody reaches the server from outside")


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
    assert [model.name for model in made.models] == ["a", "b"]


AUDIT = """
from marshmallow import Schema
from srv import hookimpl

@hookimpl
def srv_settings_schema():
    return Schema
"""


def test_extras_that_an_entry_point_names_come_along(plan, site):
    info = site.add(
        "srv-kiln",
        "[srv.runtimes]\nkiln = kiln:Kiln [fire, model.kiln]\n",
        modules={"kiln": RUNTIME},
        requires=["srv-inference>=0.1", 'srv-absent-lib; extra == "fire"'],
    )
    head = (info / "METADATA").read_text().replace("Requires-Dist", "Provides-Extra: fire\nRequires-Dist", 1)
    (info / "METADATA").write_text(head)

    made = plan({"a/model-settings.json": {"runtime": "kiln"}})

    assert made.requirements == [SRV, "srv-kiln[fire]==1.0"]


def test_a_content_type_for_tables_brings_pandas_along(plan, site):
    site.add("pandas", "", version="2.2.3", requires=(), files=["brought_by_pandas.py"])

    made = plan({"model-settings.json": {"implementation": "models.Scale", "parameters": {"content_type": "pd"}}})

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


def test_a_requirement_that_is_for_another_system_does_not_replace_srv_s_own(plan):
    made = plan({"requirements.txt": 'srv-inference==9.9; sys_platform == "win32"\n'})

    assert made.requirements == [SRV]


def test_a_conda_file_s_python_decides_on_the_markers_of_its_pip_lines(plan):
    conda = "dependencies: [python=3.12, {pip: ['srv-inference; python_version < \"3.12\"', 'a @ git+https://b.example/a']}]"

    made = plan({"environment.yml": conda})

    assert made.requirements == [SRV]
    assert made.named == {"python", "a"}
    assert made.build_packages == ["ca-certificates", "git"]


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


# -- what the models' code uses ---------------------------------------------------------------------------------------

COINS = """
from srv import InputCodec

class Coin: ...

class Coins(InputCodec):
    content_type = "coins"
    type_hint = Coin
"""
HINTED = """
import numpy as np
from coins_codec import Coin
from srv import Runtime

class Scale(Runtime):
    def __init__(self, settings):
        raise RuntimeError("weights")

    def predict(self, x: Coin) -> np.ndarray: ...
"""


@pytest.fixture
def coins(site):
    site.add("srv-coins", "[srv.codecs]\ncoins = coins_codec:Coins\n", modules={"coins_codec": COINS}, version="0.3")


@pytest.mark.e2e  # a child process imports the model
@pytest.mark.usefixtures("coins")
def test_a_codec_that_a_hint_alone_names_is_in_the_image_though_the_model_is_never_made(plan):
    made = plan({"models.py": HINTED, "requirements.txt": "numpy\n", "more/readme.txt": ""})

    assert made.requirements == ["srv-coins==0.3", SRV]
    assert made.notes == []


@pytest.mark.e2e  # a child process imports the model
@pytest.mark.usefixtures("coins")
@pytest.mark.parametrize(
    "text, reason",
    [
        ("import not_installed\n", "ModuleNotFoundError: No module named 'not_installed'."),
        ("import os\nos._exit(7)\n", "its import ended the process with exit code 7."),
    ],
    ids=["a module is missing", "it ends its process"],
)
def test_where_the_code_cannot_be_imported_the_settings_count_and_a_note_says_why(plan, text, reason):
    made = plan({"models.py": text, "requirements.txt": "numpy\n"})

    assert made.requirements == [SRV]
    (note,) = made.notes
    assert note.startswith(f"Model 'scale' could not be imported here: {reason} So nobody knows which codecs")


@pytest.fixture
def ledgers(site):
    site.add("ledgers", "", version="2.2+local", requires=("abacus",), modules={"ledgers": ""})
    site.add("abacus", "", version="5", requires=(), modules={"abacus": ""})


@pytest.mark.usefixtures("ledgers")
def test_without_an_environment_file_the_image_has_what_the_code_imports(plan):
    made = plan({"models.py": "def load():\n    import ledgers, abacus, json, numpy\n"})

    assert made.requirements == [SRV, "abacus==5", "ledgers==2.2", f"numpy=={version('numpy')}"]
    (note,) = made.notes
    assert "abacus (models.py), ledgers (models.py), numpy (models.py). Write a requirements.txt" in note


@pytest.mark.usefixtures("ledgers")
@pytest.mark.parametrize(
    "settings",
    [{"implementation": "ledgers.Book"}, {"implementation": "models.Scale", "codecs": ["ledgers.Codec"]}],
    ids=["implementation", "codecs"],
)
def test_the_image_has_the_package_whose_class_the_settings_name(plan, settings):
    made = plan({"model-settings.json": settings})

    assert made.requirements == [SRV, "ledgers==2.2"]
    assert "ledgers (model-settings.json)" in made.notes[0]


@pytest.mark.usefixtures("ledgers")
def test_an_environment_file_counts_and_a_note_has_the_line_that_it_lacks(plan):
    made = plan({"models.py": "import ledgers, abacus\n", "requirements.txt": "colorama\n"})

    assert made.requirements == [SRV]
    (note,) = made.notes
    assert note.endswith("Add to requirements.txt: abacus==5, ledgers==2.2.")
    assert plan({"requirements.txt": "ledgers\n"}).notes == []


def test_a_module_of_no_package_is_told_with_its_place(plan, site):
    (site.folder / "loose.py").write_text("")

    (note,) = plan({"models.py": "import loose\n"}).notes

    assert note.startswith(f"models.py imports 'loose', which is at {site.folder}/loose.py and belongs to no package")


def test_a_module_that_is_not_installed_is_told_where_no_file_may_bring_it(plan):
    (note,) = plan({"models.py": "import nobody\n"}).notes
    assert note.startswith("models.py imports 'nobody', which is not installed here, so the image has it not.")

    assert plan({"requirements.txt": "somebody\n"}).notes == []


def test_hook_modules_that_a_server_uses_here_are_in_the_image_and_told(plan, site):
    hook = "from srv import hookimpl\n@hookimpl\ndef srv_worker_stopping(): ...\n"
    site.add("srv-audit", "[srv.plugins]\naudit = audit_hooks\n", modules={"audit_hooks": hook})

    made = plan()

    assert made.requirements == ["srv-audit==1.0", SRV]
    (note,) = made.notes
    assert note.startswith("The image has the hook module 'audit' of srv-audit 1.0 (audit_hooks), because a server")
    assert plan({"settings.json": {"plugins": {"disable": ["audit"]}}}).requirements == [SRV]


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


@pytest.mark.e2e  # pip makes a wheel
def test_a_checkout_travels_as_a_wheel_that_is_the_same_each_time(plan, site, checkout, tmp_path):
    add_kiln(site, checkout)
    files = {"a/model-settings.json": {"runtime": "kiln"}}

    made = plan(files)
    before = made.wheels[0].read_bytes()

    assert [wheel.name for wheel in made.wheels] == ["srv_kiln-1.5-py3-none-any.whl"]
    assert made.requirements == [SRV, "srv-kiln==1.5"]
    assert plan(files).wheels[0].read_bytes() == before
    assert not (checkout / "build").exists()


@pytest.mark.e2e  # pip makes a wheel
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


@pytest.mark.e2e  # pip makes a wheel
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

    made = plan({".dockerignore": "link\n"})
    assert made.ignore[0] == "link"
    assert "**/.env*" in made.ignore


def test_a_link_within_the_folder_is_fine(plan, folder):
    (folder / "data").mkdir()
    (folder / "data" / "here").symlink_to("../models.py")

    assert plan().notes == []


def test_a_dockerignore_that_hides_an_environment_file_is_refused(plan):
    with pytest.raises(SrvError, match=r"leaves out requirements\.txt.*'!requirements\.txt'"):
        plan({"requirements.txt": "", ".dockerignore": "*.txt\n"})


@pytest.mark.parametrize(
    "uri, files, note",
    [
        (
            "../weights",
            {"../weights/w": ""},
            "Model 'scale' has its artifacts outside of the folder, at '../weights', so the image has them not. Mount them there.",
        ),
        (
            "file:///weights/w.bin",
            {},
            "Model 'scale' has its artifacts at 'file:///weights/w.bin', so the image has them not. Mount them there.",
        ),
        (
            "weights/w.bin",
            {},
            (
                "Model 'scale' has its artifacts at 'weights/w.bin', where nothing is, so the image has them not. Put them "
                "there before you build, or mount them at /srv/app/weights/w.bin."
            ),
        ),
        (
            "weights",
            {"weights/w": "", ".dockerignore": "weights"},
            (
                "Model 'scale' has its artifacts at 'weights', which .dockerignore leaves out, so the image has them not. "
                "Mount them at /srv/app/weights, or take that line out."
            ),
        ),
        (
            None,
            {".dockerignore": "*.json"},
            "Model 'scale' is left out by .dockerignore, so the image does not serve it.",
        ),
    ],
    ids=["outside", "file://", "not there", "left out", "the model left out"],
)
def test_what_the_image_lacks_of_a_model_is_told(plan, uri, files, note):
    files = {"model-settings.json": {"implementation": "models.Scale", "parameters": {"uri": uri}}, **files}

    assert plan(files).notes == [note]


@pytest.mark.parametrize(
    "environment, files, environments, note",
    [
        ("env.tar.gz", {"env.tar.gz": "x"}, ["env.tar.gz"], None),
        (
            "../env.tar.gz",
            {"../env.tar.gz": "x"},
            [],
            "outside of the folder, at '{}/../env.tar.gz', so the image has it not. Put an archive of it into the folder",
        ),
        ("env", {"env/bin/python": "x"}, [], "at 'env', which is a folder. An image can have it as an archive"),
        ("env.tar.gz", {}, [], "at 'env.tar.gz', where nothing is. An image can have it as an archive"),
        (
            "env.tar.gz",
            {"env.tar.gz": "x", ".dockerignore": "*.gz"},
            [],
            "at 'env.tar.gz', which .dockerignore leaves out",
        ),
    ],
    ids=["an archive", "outside", "a folder", "not there", "left out"],
)
def test_an_image_extracts_the_archives_of_environments_and_tells_what_it_has_not(
    plan, folder, environment, files, environments, note
):
    settings = {"implementation": "models.Scale", "process": {"environment": environment}}
    made = plan({"model-settings.json": settings, **files})

    assert made.model_environments == environments
    if note is None:
        assert made.notes == []
    else:
        assert f"Model 'scale' has its environment {note.format(folder)}" in made.notes[0]


def test_a_large_archive_of_an_environment_is_no_layer_of_large_files(plan, folder):
    settings = {"implementation": "models.Scale", "process": {"environment": "env.tar.gz"}}
    made = plan({"model-settings.json": settings, "env.tar.gz": "x" * (5 << 20), "weights.bin": "x" * (5 << 20)})
    assert (made.model_environments, made.artifacts) == (["env.tar.gz"], [["weights.bin"]])


SHELF = """
from srv import hookimpl
from srv.storage import Fetch


class Shelf(Fetch):
    def etag(self): ...
    def download(self, folder, download): ...


@hookimpl
def srv_storage(uri):
    return Shelf() if uri.startswith("shelf://") else None
"""


def test_the_plugin_that_fetches_a_models_artifact_is_in_the_image_and_only_there(plan, site):
    site.add("srv-shelf", "[srv.plugins]\nshelf = shelf\n", modules={"shelf": SHELF})
    settings = {"implementation": "models.Scale", "parameters": {"uri": "shelf://book"}}

    made = plan({"model-settings.json": settings})
    assert (made.requirements, made.notes) == ([SRV, "srv-shelf==1.0"], [])

    settings["parameters"]["uri"] = "https://host/model"
    assert plan({"model-settings.json": settings}).requirements == [SRV]


def test_a_plugin_that_fetches_artifacts_is_in_an_image_whose_models_are_mounted(plan, site, folder):
    site.add("srv-shelf", "[srv.plugins]\nshelf = shelf\n", modules={"shelf": SHELF})
    (folder / "model-settings.json").unlink()

    assert "srv-shelf==1.0" in plan().requirements


def test_an_artifact_that_no_plugin_fetches_is_told_without_secrets(plan):
    uri = "s3://anna:secret@bucket/model?token=0123456789"
    made = plan({"model-settings.json": {"implementation": "models.Scale", "parameters": {"uri": uri}}})

    assert [note for note in made.notes if "pip install srv-storage" in note and "s3://***@bucket/model?***" in note]
    assert "secret" not in " ".join(made.notes)


@pytest.mark.parametrize("uri", ["https://host/model", "weights", "mlruns/0/a/artifacts/model"])
def test_a_uri_that_the_image_has_or_that_is_no_file_is_no_matter(plan, uri):
    files = {"weights/w": "", "mlruns/0/a/artifacts/model/w": "", "mlruns/0/b/artifacts/model/w": ""}

    made = plan({"model-settings.json": {"implementation": "models.Scale", "parameters": {"uri": uri}}, **files})

    assert made.notes == []
    assert ("!mlruns/0/a/artifacts/model" in made.ignore) is uri.startswith("mlruns")


def test_a_folder_without_models_is_told_what_its_image_serves(plan, folder, site):
    (folder / "model-settings.json").unlink()
    (note,) = plan().notes
    assert note == (
        f"{folder} has no model and no defaults for models, so the image serves only what is mounted at /mnt/models with "
        "settings of its own. Is it the folder that you mean?"
    )

    add_kiln(site)
    assert plan({"model-settings.json": {"runtime": "kiln"}, "settings.json": {"models_dir": "models"}}).notes == []


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


def test_the_version_of_the_one_model_is_the_image_s(plan):
    settings = {"implementation": "models.Scale", "parameters": {"version": "v3"}}
    assert plan({"model-settings.json": settings}).labels["org.opencontainers.image.version"] == "v3"


def test_a_model_without_a_version_gives_the_image_none(plan):
    assert "org.opencontainers.image.version" not in plan().labels


def test_large_files_are_planned_as_layers_and_ignored_ones_are_not(plan, folder):
    for name in ("weights.bin", "left-out.bin"):
        with (folder / name).open("wb") as file:
            file.truncate(8 << 20)
    assert plan({".dockerignore": "left-out.bin\n"}).artifacts == [["weights.bin"]]


# -- codecs of the folder itself --------------------------------------------------------------------------------------

OWN = """
import numpy as np
from srv import InputCodec, Runtime

class Coin: ...

class Coins(InputCodec):
    content_type = "coins"
    type_hint = Coin

class Scale(Runtime):
    def predict(self, x: Coin) -> np.ndarray: ...
"""
BY_SETTINGS = {"implementation": "models.Scale", "parameters": {"content_type": "coins"}}


@pytest.mark.e2e  # a child process imports the model
@pytest.mark.parametrize("installed", [False, True], ids=["no package brings it", "a package brings it too"])
def test_a_codec_of_the_folder_travels_with_it_and_asks_for_no_distribution(plan, request, installed):
    if installed:
        request.getfixturevalue("coins")

    made = plan({"models.py": OWN, "model-settings.json": BY_SETTINGS, "requirements.txt": "numpy\n"})

    assert made.requirements == [SRV]
    assert made.notes == []


@pytest.mark.e2e  # a child process imports the model
@pytest.mark.usefixtures("ledgers")
def test_a_codec_that_settings_name_travels_too_and_what_its_module_imports_is_in_the_image(plan):
    files = {"kinds.py": "import abacus\n" + OWN, "models.py": "from srv import Runtime\nclass Scale(Runtime): ...\n"}

    made = plan({**files, "model-settings.json": {**BY_SETTINGS, "codecs": ["kinds.Coins"]}})

    assert made.requirements == [SRV, "abacus==5", f"numpy=={version('numpy')}"]


@pytest.mark.e2e  # a child process imports the model
def test_a_folder_whose_code_cannot_be_imported_here_may_bring_its_content_type(plan):
    text = f"import not_installed\n{OWN}"

    made = plan({"models.py": text, "model-settings.json": BY_SETTINGS, "requirements.txt": "numpy\n"})

    assert made.requirements == [SRV]
    assert made.notes[0].startswith("Model 'scale' could not be imported here: ModuleNotFoundError")


DEFAULT = {"implementation": "models.Scale", "parameters": {"content_type": "coins"}}


@pytest.mark.e2e  # a child process imports the default runtime
@pytest.mark.usefixtures("ledgers")
@pytest.mark.parametrize(
    "files, models",
    [({"a/model-settings.json": {}}, ["a"]), ({"settings.json": {"models_dir": "/data/models"}}, [])],
    ids=["a model in the folder", "models that are mounted"],
)
def test_a_default_runtime_brings_its_codecs_and_what_its_code_imports(plan, files, models):
    made = plan({"models.py": f"import abacus\n{OWN}", "model-settings.json": DEFAULT, **files})

    assert [model.name for model in made.models] == models
    assert made.root_name is None
    assert made.requirements == [SRV, "abacus==5", f"numpy=={version('numpy')}"]
    assert not any("could not be imported" in note for note in made.notes)


def test_a_class_without_name_and_artifact_is_a_model_of_the_image_where_nothing_is_mounted(plan):
    made = plan({"models.py": "from srv import Runtime\nclass Scale(Runtime): ...\n"})

    assert (made.root_name, [model.name for model in made.models]) == ("scale", ["scale"])
    assert made.command[-2:] == ["--root-name", "scale"]
    served = Repository(read_server_settings(made.folder, environ=made.env), {}).models()
    assert [model.implementation for model in served.models] == ["models.Scale"]


@pytest.mark.e2e  # a child process imports the model
def test_a_content_type_that_neither_the_folder_nor_a_package_brings_is_refused(plan):
    settings = {"implementation": "models.Scale", "parameters": {"content_type": "coin"}}

    with pytest.raises(UnknownPlugin, match="coin"):
        plan({"models.py": OWN, "model-settings.json": settings})
