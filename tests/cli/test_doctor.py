"""`srv doctor` says what is wrong and what to do, and its exit code tells."""

import json
import sys
from importlib.metadata import version

import pytest
from distributions import Site, installed_in
from packing import pack, venv

from srv.cli import run
from srv.cli.diagnostics import installation_findings
from srv.cli.diagnostics.finding import Weight
from srv.discovery import discover

pytestmark = pytest.mark.e2e  # a child process imports the plugins


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    with installed_in(folder) as made:
        yield made


def findings(capsys, *arguments, code):
    assert run(["doctor", "--json", *arguments]) == code
    return {each["about"]: each for each in json.loads(capsys.readouterr().out)["findings"]}


def test_a_good_installation_has_nothing_wrong(site, capsys):
    assert run(["doctor"]) == 0

    out = capsys.readouterr().out
    assert out.startswith("srv: ")
    assert out.endswith("\nNothing is wrong.\n")


def test_a_broken_plugin_is_a_problem_with_its_traceback_and_a_remedy(site, capsys):
    site.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:B\n", modules={"broken_rt": "import not_there"})

    found = findings(capsys, code=1)["srv-broken:broken"]

    assert found["weight"] == "problem"
    assert "is quarantined: ModuleNotFoundError: No module named 'not_there'." in found["what"]
    assert found["remedy"].startswith("Install what is missing, or leave it out with plugins.disable")
    assert "broken_rt.py" in found["traceback"]


def test_an_environment_of_a_model_that_does_not_fit_is_a_problem(site, tmp_path, capsys):
    for name, environment in {"gone": "env", "old": "old.tar", "bare": "bare.tar"}.items():
        settings = {"implementation": "models.M", "process": {"environment": environment}}
        (tmp_path / "zoo" / name).mkdir(parents=True)
        (tmp_path / "zoo" / name / "model-settings.json").write_text(json.dumps(settings))
    pack(tmp_path / "zoo" / "old" / "old.tar", venv(version="3.9"))
    pack(tmp_path / "zoo" / "bare" / "bare.tar", venv(srv=False))

    found = findings(capsys, "zoo", code=1)

    assert {name: found[name]["weight"] for name in ("gone", "old", "bare")} == dict.fromkeys(
        found.keys() & {"gone", "old", "bare"}, "problem"
    )
    assert "gone/env, where nothing is." in found["gone"]["what"]
    assert "old.tar has Python 3.9, and srv needs 3.11" in found["old"]["what"]
    assert "bare.tar does not have srv-inference: pip install" in found["bare"]["what"]


def test_an_environment_whose_packages_lack_the_models_runtime_is_a_problem(site, tmp_path, capsys):
    (tmp_path / "zoo" / "iris").mkdir(parents=True)
    settings = {"runtime": "prophet", "process": {"environment": sys.prefix}}
    (tmp_path / "zoo" / "iris" / "model-settings.json").write_text(json.dumps(settings))

    found = findings(capsys, "zoo", code=1)["iris"]

    assert f"The environment {sys.prefix} has no runtime 'prophet', which model 'iris' needs." == found["what"]
    assert found["remedy"].startswith(
        f"Install the package that brings it: {sys.prefix}/bin/python -m pip install srv-prophet"
    )


def test_the_last_line_counts_the_problems(site, capsys):
    site.add("srv-one", "[srv.runtimes]\nbroken = one_rt:B\n", modules={"one_rt": "1 / 0"})
    site.add("srv-two", "[srv.runtimes]\nbad = two_rt:B\n", requires=["srv-inference>9"])

    assert run(["doctor"]) == 1

    answer = capsys.readouterr()
    assert answer.err == "2 problems were found.\n"
    assert "problem: The runtime 'bad' of srv-two 1.0 (two_rt:B) is refused: it requires srv-inference >9" in answer.out


REFUSED = {
    "version": (
        {"entry_points": "[srv.plugins]\nx = x\n", "requires": ["srv-inference>9"]},
        "srv-odd:x",
        "Install a version of srv-odd that was made for this srv",
    ),
    "unreadable": ({"entry_points": "[srv.plugins]\nx\n"}, "srv-odd", "Install it again"),
    "our name": ({"entry_points": "[srv.codecs]\nnp = x:X\n"}, "srv-odd:np", 'Ask for it as "srv-odd:np"'),
    "our import": ({"entry_points": "[srv.plugins]\nx = srv.x\n"}, "srv-odd:x", "Tell the author of srv-odd"),
}


@pytest.mark.parametrize("what, about, remedy", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_a_problem_with_a_remedy(site, capsys, what, about, remedy):
    site.add("srv-odd", **what)

    assert findings(capsys, code=1)[about]["remedy"].startswith(remedy)


def test_a_conflict_is_advice(site, capsys):
    for name in ("srv-a", "srv-b"):
        module = name.replace("-", "_")
        source = "from srv import Runtime\nclass Scale(Runtime): ...\n"
        site.add(name, f"[srv.runtimes]\nscale = {module}:Scale [model.x]\n", modules={module: source})

    found = findings(capsys, code=0)

    assert found["runtime:scale"]["weight"] == "advice"
    assert found["runtime:scale"]["remedy"].startswith('Set plugins.prefer to {"runtime:scale": "srv-a"}')
    assert found["model.x"]["what"] == (
        "The runtimes srv-a:scale and srv-b:scale recognise files called model.x, and srv-a:scale and srv-b:scale take any "
        "of them, whatever it holds."
    )


@pytest.mark.parametrize("those_that_ask", [("srv-a", "srv-b"), ("srv-b",)])
def test_files_of_two_runtimes_are_advice_until_each_tells_its_own_by_the_content(site, capsys, those_that_ask):
    for name in ("srv-a", "srv-b"):
        own = "@classmethod\n    def recognise(cls, path): return True" if name in those_that_ask else "..."
        module = name.replace("-", "_")
        source = f"from srv import Runtime\nclass Scale(Runtime):\n    {own}\n"
        site.add(name, f"[srv.runtimes]\n{name[-1]} = {module}:Scale [model.x]\n", modules={module: source})

    told = findings(capsys, code=0).get("model.x", {"what": ""})["what"]

    assert told == (
        ""
        if "srv-a" in those_that_ask
        else "The runtimes a and b recognise files called model.x, and a takes any of them, whatever it holds."
    )


def test_a_package_that_names_no_version_of_srv_is_advice(site, capsys):
    site.add("srv-silent", "[srv.plugins]\nsilent = silent\n", requires=[], modules={"silent": ""})

    assert "does not say which versions" in findings(capsys, code=0)["srv-silent"]["what"]


def test_a_requirement_that_is_not_met_is_a_problem(site, capsys):
    site.add(
        "srv-needy",
        "[srv.plugins]\nneedy = needy\n",
        requires=["srv-inference>=0.1", "numpy<1", "not-there>=2", "also-not; extra == 'x'"],
        modules={"needy": ""},
    )

    assert run(["doctor"]) == 1

    out = capsys.readouterr().out
    assert f"srv-needy requires numpy <1, and {version('numpy')}" in out
    assert "srv-needy requires not-there, which is not installed.\n  pip install 'not-there>=2'" in out
    assert "also-not" not in out


def test_an_installation_without_simdjson_is_told_who_reads_numbers_and_is_well(site, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "simdjson", None)
    real = installation_findings.distribution_called
    monkeypatch.setattr(
        installation_findings, "distribution_called", lambda name: None if name == "pysimdjson" else real(name)
    )

    [advice] = findings(capsys, code=0).values()

    assert (advice["weight"], advice["about"]) == ("advice", "pysimdjson")
    assert "numbers in JSON are read by orjson" in advice["what"]


def test_files_that_two_packages_own_are_a_problem(site, capsys):
    site.add("srv-a", "[srv.plugins]\na = shared_a\n", modules={"shared_a": ""})
    site.add("other", "", files=["shared_a.py"])

    assert "other and srv-a both own " in findings(capsys, code=1)["other"]["what"]


@pytest.mark.parametrize(
    "file, text",
    [
        ("pyproject.toml", '[project.entry-points."srv.plugins"]\nnew = "stale_hooks"\n'),
        ("setup.cfg", "[options.entry_points]\nsrv.plugins =\n    new = stale_hooks\n"),
    ],
)
def test_entry_points_that_changed_since_an_editable_installation_are_a_problem(site, tmp_path, capsys, file, text):
    source = tmp_path / "source"
    source.mkdir()
    (source / file).write_text(text)
    info = site.add("srv-stale", "[srv.plugins]\nold = stale_hooks\n", modules={"stale_hooks": ""})
    (info / "direct_url.json").write_text(json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))

    found = findings(capsys, code=1)["srv-stale"]

    assert found["what"].endswith("its entry points have changed since: srv.plugins: new, srv.plugins: old.")
    assert found["remedy"] == f"pip install -e {source}"


def test_a_folder_that_shadows_srv_is_advice(site, tmp_path, capsys):
    (tmp_path / "srv").mkdir()

    assert "has the name of srv's own package 'srv'" in findings(capsys, code=0)["srv"]["what"]


def test_an_unknown_variable_is_advice(site, capsys, monkeypatch):
    monkeypatch.setenv("SRV_HTTP_PROT", "1")

    assert "SRV_HTTP_PROT" in findings(capsys, code=0)["settings"]["what"]


def test_an_old_name_of_a_plugin_is_advice(site, tmp_path, capsys):
    (tmp_path / "settings.json").write_text('{"remember": {"models": []}, "plugins": {"disable": ["journal"]}}')

    found = findings(capsys, str(tmp_path), code=0)

    assert found["settings"]["what"].endswith(": the plugin 'remember' is now called 'cache'. Rename its section.")
    assert found["plugins"]["what"] == (
        "plugins.disable names 'journal': the plugin 'journal' is now called 'event_log'. Write the new name: srv 0.2 will "
        "not know the old one."
    )


def test_broken_settings_of_a_folder_are_a_problem(site, tmp_path, capsys):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "settings.json").write_text('{"http_prot": 1}')

    assert "Did you mean 'http_port'?" in findings(capsys, "models", code=1)["models"]["what"]


def test_a_cache_folder_that_cannot_be_made_is_a_problem(site, tmp_path, capsys):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "file").touch()
    (tmp_path / "models" / "settings.json").write_text('{"cache_dir": "file/cache"}')

    assert findings(capsys, "models", code=1)["settings"]["what"].endswith("file is not a folder.")


def test_a_plugins_section_that_its_schema_does_not_take_is_a_problem(site, tmp_path, capsys):
    source = (
        "from marshmallow import Schema, fields\nfrom srv import hookimpl\n"
        "class Settings(Schema):\n    size = fields.Integer(strict=True)\n"
        "@hookimpl\ndef srv_settings_schema(): return Settings\n"
    )
    site.add("srv-audit", "[srv.plugins]\naudit = audit_hooks\n", modules={"audit_hooks": source})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "settings.json").write_text('{"audit": {"size": "many"}}')

    found = findings(capsys, "models", code=1)
    assert "'audit.size': Not a valid integer." in found["models"]["what"]
    assert found["srv-audit:audit"]["remedy"].startswith("Mend its section of the settings, or leave it out with ")


@pytest.mark.parametrize("metadata", [None, "Name: srv-bare\n\n", "Version: as you like\n\n"])
def test_a_distribution_with_little_or_no_metadata_does_not_end_the_examination(site, capsys, metadata):
    info = site.add("srv-bare", "[srv.runtimes]\nbare = bare_rt:B\n", modules={"bare_rt": "import not_there"})
    (info / "METADATA").unlink() if metadata is None else (info / "METADATA").write_text(metadata)
    needs = ["srv-inference", "srv-bare>=1"]
    site.add("srv-user", "[srv.plugins]\nuser = user_hooks\n", requires=needs, modules={"user_hooks": ""})

    found = findings(capsys, code=1)

    assert found["srv-bare:bare" if metadata else "srv-bare"]["weight"] == "problem"
    assert found["srv-user"]["what"].startswith("srv-user requires srv-bare >=1, and ")


def test_a_second_installation_that_is_hidden_is_advice(site, tmp_path, capsys, monkeypatch):
    site.add("srv-twin", "[srv.plugins]\ntwin = twin\n", modules={"twin": ""})
    with installed_in(tmp_path) as other:
        other.add("srv-twin", "[srv.plugins]\ntwin = twin\n", version="2.0", modules={"twin": ""})

        assert "srv-twin is installed twice: " in findings(capsys, code=0)["srv-twin"]["what"]


def test_what_an_editable_installation_leaves_beside_its_source_is_no_second_one(site, tmp_path, capsys, monkeypatch):
    source = tmp_path / "source"
    twin = {"entry_points": "[srv.plugins]\nmine = mine\n", "modules": {"mine": "SRV = 1\n"}}
    info = site.add("srv-mine", **twin)
    (info / "direct_url.json").write_text(json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))
    Site(source / "src").add("srv-mine", **twin)
    monkeypatch.setattr("sys.path", [*sys.path, str(source / "src")])

    assert "srv-mine" not in findings(capsys, code=0)


def test_a_misspelt_group_of_entry_points_is_named_with_the_nearest(site, capsys):
    site.add("srv-typo", "[srv.runtime]\nscale = scale_rt:Scale\n\n[other.group]\nx = y\n")

    found = findings(capsys, code=0)["srv-typo"]

    assert found["weight"] == "advice"
    assert found["what"].endswith("the group 'srv.runtime', which srv does not read. Did you mean 'srv.runtimes'?")


HEAD = "Metadata-Version: 2.1\nName: srv-twin\nVersion: 0.9\n"


@pytest.mark.parametrize("files", [{}, {"METADATA": HEAD}, {"METADATA": HEAD, "RECORD": "twin.py,,\n"}])
def test_metadata_that_is_left_over_is_named_with_what_to_delete(site, tmp_path, capsys, files):
    left = tmp_path / "earlier" / "srv_twin-0.9.dist-info"
    left.mkdir(parents=True)
    for name, text in files.items():
        (left / name).write_text(text)
    info = site.add("srv-twin", "[srv.plugins]\ntwin = twin\n", modules={"twin": ""})
    with installed_in(left.parent):
        found = findings(capsys, code=0)["srv-twin"]

    assert found["what"] == (
        f"srv-twin is installed twice: {info} counts, and {left} is left over, without files of its own."
    )
    assert found["remedy"] == f"Delete {left}."


def test_what_pip_left_when_it_was_stopped_is_named(site, capsys):
    info = site.add("srv-twin", "[srv.plugins]\ntwin = twin\n", modules={"twin": ""})
    left = info.rename(info.with_name("~rv_twin-1.0.dist-info"))

    assert findings(capsys, code=0)["~rv-twin"]["remedy"] == f"Delete {left}."


def folder_instead(path):
    path.unlink()
    path.mkdir()


SPOILT = {
    "entry points": lambda info: (info / "entry_points.txt").write_bytes(b"[srv.runtimes]\nx = y:z\n\xff = y:z\n"),
    "open section": lambda info: (info / "entry_points.txt").write_text("[srv.runtimes\nx = y:z\n"),
    "entry points folder": lambda info: folder_instead(info / "entry_points.txt"),
    "head": lambda info: (info / "METADATA").write_bytes(b"Name: srv-torn\nVersion: \xff\n"),
    "head folder": lambda info: folder_instead(info / "METADATA"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_unreadable_metadata_is_a_problem_and_never_a_traceback(site, capsys, spoil):
    spoil(site.add("srv-torn", "[srv.plugins]\ntorn = torn_hooks\n", modules={"torn_hooks": ""}))

    assert run(["doctor"]) == 1

    printed = capsys.readouterr().out
    assert "problem: srv-torn " in printed
    assert "unreadable" in printed


@pytest.mark.parametrize("command", ["plugins", "plugins --load", "plugins check srv-torn"])
def test_every_command_about_plugins_tells_of_unreadable_metadata(site, capsys, command):
    SPOILT["head"](site.add("srv-torn", "[srv.plugins]\ntorn = torn_hooks\n", modules={"torn_hooks": ""}))

    assert run(command.split()) == (1 if "check" in command else 0)
    assert "its metadata is unreadable: UnicodeDecodeError" in capsys.readouterr().out


def examined():
    """Whom the examination of the installation finds problems with."""
    return {each.about for each in installation_findings.examine(discover()) if each.weight is Weight.PROBLEM}


HARMLESS = {
    "record": lambda info: (info / "RECORD").write_bytes(b"\xff\0,,\n"),
    "record with a null": lambda info: (info / "RECORD").write_bytes(b"x.py,\0,\n"),
    "no record": lambda info: (info / "RECORD").unlink(),
    "direct_url": lambda info: (info / "direct_url.json").write_bytes(b"\xff"),
    "direct_url list": lambda info: (info / "direct_url.json").write_text("[1]"),
    "direct_url text": lambda info: (info / "direct_url.json").write_text('{"dir_info": "x"}'),
    "direct_url address": lambda info: (info / "direct_url.json").write_text(
        '{"dir_info": {"editable": true}, "url": "http://[x"}'
    ),
}


@pytest.mark.parametrize("spoil", HARMLESS.values(), ids=HARMLESS)
def test_what_pip_wrote_beside_the_metadata_does_not_end_the_examination(site, spoil):
    spoil(site.add("srv-torn", "[srv.plugins]\ntorn = torn_hooks\n", modules={"torn_hooks": ""}))

    assert examined() == set()


@pytest.mark.parametrize(
    "text", ["[project]\nentry-points = 3\n", "project = 3\n", '[project.entry-points]\n"srv.plugins" = 3\n', "\x00"]
)
def test_a_source_whose_entry_points_nobody_can_read_does_not_end_the_examination(site, tmp_path, text):
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(text)
    info = site.add("srv-torn", "[srv.plugins]\ntorn = torn_hooks\n", modules={"torn_hooks": ""})
    (info / "direct_url.json").write_text(json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))

    assert examined() == set()


@pytest.mark.parametrize(
    "line", ["falcon; sys_platform ~= 'linux'", "falcon ==not.a.version", "falcon>=1; nobody == 'x'", "?", "srv-torn2"]
)
def test_a_requirement_that_nobody_can_read_does_not_end_the_examination(site, line):
    (site.add("srv-torn2", "") / "METADATA").write_bytes(b"Name: srv-torn2\nVersion: \xff\n")
    site.add(
        "srv-torn", "[srv.plugins]\ntorn = torn_hooks\n", modules={"torn_hooks": ""}, requires=["srv-inference", line]
    )

    assert examined() == set()


def test_a_folder_of_metadata_without_a_name_does_not_end_the_examination(site):
    (site.folder / ".dist-info").mkdir()
    (site.folder / ".dist-info" / "entry_points.txt").write_text("[srv.plugins]\nx = y\n")

    assert examined() == set()
    assert "refused" in {row.state.value for row in discover().rows}


def test_an_examination_that_fails_is_a_problem_and_the_others_go_on(site, capsys, monkeypatch):
    monkeypatch.setattr(installation_findings, "examine", lambda found: (1 / 0 for _ in "x"))
    site.add("srv-two", "[srv.runtimes]\nbad = two_rt:B\n", requires=["srv-inference>9"])

    found = findings(capsys, code=1)

    assert found["srv doctor"]["what"] == "The installation could not be examined: ZeroDivisionError: division by zero."
    assert "srv-two:bad" in found
