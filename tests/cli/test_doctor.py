"""`srv doctor` says what is wrong and what to do, and its exit code tells."""

import json
import sys

import pytest
from distributions import Site, installed_in

from srv.cli import run


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
    assert "srv-a:scale and srv-b:scale both recognise" in found["model.x"]["what"]


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
    assert "srv-needy requires numpy <1, and 2." in out
    assert "srv-needy requires not-there, which is not installed.\n  pip install 'not-there>=2'" in out
    assert "also-not" not in out


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


def test_broken_settings_of_a_folder_are_a_problem(site, tmp_path, capsys):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "settings.json").write_text('{"http_prot": 1}')

    assert "Did you mean 'http_port'?" in findings(capsys, "models", code=1)["models"]["what"]


def test_a_plugins_section_that_its_schema_does_not_take_is_a_problem(site, tmp_path, capsys):
    source = (
        "from marshmallow import Schema, fields\nfrom srv import hookimpl\n"
        "class Settings(Schema):\n    size = fields.Integer(strict=True)\n"
        "@hookimpl\ndef srv_settings_schema(): return Settings\n"
    )
    site.add("srv-audit", "[srv.plugins]\naudit = audit_hooks\n", modules={"audit_hooks": source})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "settings.json").write_text('{"audit": {"size": "many"}}')

    assert "'audit.size': Not a valid integer." in findings(capsys, "models", code=1)["models"]["what"]


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
