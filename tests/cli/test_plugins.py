"""`srv plugins` shows what is installed, and tries it where no harm is done."""

import json
import re

import pytest
from distributions import installed_in

from srv.cli import run

RUNTIME = "from srv import Runtime\nclass Scale(Runtime): ...\n"
AUDIT = "from srv import hookimpl\n@hookimpl\ndef srv_before_infer(): ...\n"


child_process = pytest.mark.e2e  # one imports the plugins


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    with installed_in(folder) as made:
        yield made


@pytest.fixture
def scale(site):
    site.add("srv-scale", "[srv.runtimes]\nscale = scale_rt:Scale [model.scale]\n", modules={"scale_rt": RUNTIME})
    return site


def rows(capsys, *arguments):
    assert run(["plugins", "--json", *arguments]) == 0
    return {f"{row['distribution']}:{row['name']}": row for row in json.loads(capsys.readouterr().out)}


def test_plugins_is_a_table_with_reasons_below(scale, capsys):
    scale.add("srv-old", "[srv.plugins]\nold = old\n", requires=["srv-inference<0.1"], version="0.3")
    scale.add("srv-silent", "[srv.plugins]\nsilent = silent\n", requires=[])

    assert run(["plugins"]) == 0

    out = re.sub(" +", " ", capsys.readouterr().out)
    assert "KIND NAME DISTRIBUTION VERSION STATE\n" in out
    assert "\nruntime scale srv-scale 1.0 found\n" in out
    assert "\nhooks old srv-old 0.3 refused\n it requires srv-inference <0.1, and this is srv-inference " in out
    assert (
        "\nhooks silent srv-silent 1.0 found\n it does not say which versions of srv-inference it works with\n" in out
    )
    assert "1 of " in out


def test_plugins_as_json_has_every_field(scale, capsys):
    row = rows(capsys)["srv-scale:scale"]

    assert row == {
        "kind": "runtime",
        "name": "scale",
        "distribution": "srv-scale",
        "version": "1.0",
        "entry_point": "scale_rt:Scale",
        "state": "found",
        "reason": None,
        "warning": None,
        "deprecations": [],
        "import_seconds": None,
        "ours": False,
        "name_taken": False,
        "recognises": False,
        "missing_extra": None,
        "files": ["model.scale"],
        "required": None,
        "computed_by": None,
        "traceback": None,
    }


@child_process
def test_load_says_how_the_import_of_each_went(scale, capsys):
    scale.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:B\n", modules={"broken_rt": "print('hi')\n1 / 0"})
    scale.add(
        "srv-half",
        "[srv.plugins]\nhalf = half_hooks\n",
        modules={"half_hooks": "from srv import hookimpl\n@hookimpl\ndef srv_codecs(): raise ValueError('half')\n"},
    )

    found = rows(capsys, "--load")

    assert found["srv-scale:scale"]["state"] == "loaded"
    assert found["srv-scale:scale"]["import_seconds"] > 0
    assert (found["srv-broken:broken"]["state"], found["srv-broken:broken"]["reason"]) == (
        "quarantined",
        "ZeroDivisionError: division by zero",
    )
    assert "broken_rt.py" in found["srv-broken:broken"]["traceback"]
    assert found["srv-half:half"]["reason"] == "srv_codecs raised ValueError: half"
    assert found["srv-inference:np"]["state"] == "loaded"


@child_process
def test_load_shows_what_hooks_compute(site, capsys):
    source = f"{RUNTIME}from srv import hookimpl\n@hookimpl\ndef srv_runtimes():\n    return {{'made': Scale}}\n"
    site.add("srv-maker", "[srv.plugins]\nmaker = maker_hooks\n", modules={"maker_hooks": source})

    found = rows(capsys, "--load")

    assert (found["srv-maker:made"]["state"], found["srv-maker:made"]["computed_by"]) == ("found", "maker")


@child_process
@pytest.mark.parametrize(
    "source, reason",
    [
        ("import time\ntime.sleep(600)", "its import did not end within 5 s"),
        ("import os\nos._exit(5)", "its import ended the process with exit code 5"),
        (
            "import os, sys\nprint('worn out', file=sys.stderr, flush=True)\nos._exit(5)",
            "its import ended the process with exit code 5: worn out",
        ),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "its import was ended by SIGSEGV"),
        ("import os\nos.close(1)\nos.close(0)\nimport broken_again", "ModuleNotFoundError: No module named 'broken_"),
    ],
    ids=["hangs", "exits", "exits with words", "crashes", "closes files"],
)
def test_an_import_that_hangs_or_crashes_harms_nobody_else(scale, capsys, source, reason):
    scale.add("srv-bad", "[srv.runtimes]\nbad = bad_rt:B\n", modules={"bad_rt": source})

    found = rows(capsys, "--load", "--timeout", "5" if "sleep" in source else "60")

    assert found["srv-bad:bad"]["state"] == "quarantined"
    assert found["srv-bad:bad"]["reason"].startswith(reason)
    assert found["srv-scale:scale"]["state"] == "loaded"


@child_process
def test_a_hook_that_hangs_while_it_registers_is_named(scale, capsys):
    source = "import time\nfrom srv import hookimpl\n@hookimpl\ndef srv_runtimes():\n    time.sleep(600)\n"
    scale.add("srv-bad", "[srv.plugins]\nbad = bad_hooks\n", modules={"bad_hooks": source})

    found = rows(capsys, "--load", "--timeout", "5")

    assert found["srv-bad:bad"]["reason"] == "its import did not end within 5 s"
    assert found["srv-scale:scale"]["state"] == "loaded"


@child_process
def test_a_broken_srv_plugin_imported_at_load_never_reaches_this_process(scale, capsys):
    import sys

    rows(capsys, "--load")

    assert "scale_rt" not in sys.modules


@child_process
def test_order_prints_who_is_called_first(site, capsys):
    site.add("srv-b", "[srv.plugins]\naudit = b_hooks\n", modules={"b_hooks": AUDIT})
    site.add(
        "srv-c",
        "[srv.plugins]\nfirst = c_hooks\n",
        modules={"c_hooks": AUDIT.replace("impl\ndef", "impl(tryfirst=True)\ndef")},
    )
    site.add("srv-a", "[srv.plugins]\nother = a_hooks\n", modules={"a_hooks": AUDIT})

    assert run(["plugins", "--order", "srv_before_infer"]) == 0

    assert capsys.readouterr().out == "1. first of srv-c 1.0\n2. other of srv-a 1.0\n3. audit of srv-b 1.0\n"


def test_order_of_an_unknown_hook_names_the_nearest(site, capsys):
    assert run(["plugins", "--order", "srv_befor_infer"]) == 1
    assert capsys.readouterr().err == "srv has no hook called 'srv_befor_infer'. Did you mean 'srv_before_infer'?\n"


def test_plugins_follows_the_settings_of_the_folder(scale, tmp_path, capsys, monkeypatch):
    (tmp_path / "settings.json").write_text('{"plugins": {"disable": ["scale"]}}')
    assert rows(capsys)["srv-scale:scale"]["reason"] == "plugins.disable names 'scale'"

    (tmp_path / "other").mkdir()
    assert rows(capsys, "--folder", "other")["srv-scale:scale"]["state"] == "found"

    monkeypatch.setenv("SRV_PLUGINS__ONLY", "[]")
    assert rows(capsys, "--folder", "other")["srv-scale:scale"]["reason"] == "plugins.only does not name it"


def test_broken_settings_do_not_keep_anybody_from_seeing_the_plugins(scale, tmp_path, capsys):
    (tmp_path / "settings.json").write_text("{")

    assert run(["plugins"]) == 0

    answer = capsys.readouterr()
    assert "scale" in answer.out
    assert "settings.json" in answer.err


def test_words_that_mean_no_plugin_are_told(scale, tmp_path, capsys):
    (tmp_path / "settings.json").write_text('{"plugins": {"disable": ["scael"]}}')

    run(["plugins"])

    assert "plugins.disable names 'scael', which no installed plugin is called. Did you" in capsys.readouterr().err


@child_process
def test_check_of_a_good_package_succeeds(scale, capsys):
    assert run(["plugins", "check", "SRV_scale"]) == 0
    assert "loaded" in capsys.readouterr().out


@child_process
def test_check_of_a_broken_package_shows_the_traceback_and_fails(scale, capsys):
    scale.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:B\n", modules={"broken_rt": "1 / 0"})

    assert run(["plugins", "check", "srv-broken"]) == 1

    answer = capsys.readouterr()
    assert "ZeroDivisionError: division by zero" in answer.out
    assert "Traceback" in answer.out
    assert "srv-scale" not in answer.out
    assert answer.err == "srv-broken has 1 fault.\n"


@child_process
def test_check_takes_several_packages_and_counts_the_faults_of_all(scale, capsys):
    scale.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:B\n", modules={"broken_rt": "1 / 0"})

    assert run(["plugins", "check", "srv-scale", "srv-broken", "--json"]) == 1

    answer = capsys.readouterr()
    assert {row["name"]: row["state"] for row in json.loads(answer.out)["plugins"]} == {
        "scale": "loaded",
        "broken": "quarantined",
    }
    assert answer.err == "srv-broken, srv-scale have 1 fault.\n"


@child_process
def test_check_reports_files_that_another_package_owns_too(scale, capsys):
    scale.add("other", "", files=["scale_rt.py"])

    assert run(["plugins", "check", "srv-scale"]) == 1

    assert "scale_rt.py belongs to other and srv-scale." in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("srv-scael", "'srv-scael' is not installed. Did you mean 'srv-scale'?"),
        ("numpy", "'numpy' is installed and brings nothing to srv. What brings something: "),
        ("not/a name", "'not/a name' is not installed."),
    ],
)
def test_check_of_a_package_that_brings_nothing_says_so(scale, capsys, name, sentence):
    assert run(["plugins", "check", name]) == 1
    assert capsys.readouterr().err.startswith(sentence)


def test_a_folder_that_is_not_there_is_wrong_usage(site, capsys):
    assert run(["plugins", "--folder", "nowhere"]) == 2
    assert "Directory 'nowhere' does not exist." in capsys.readouterr().err


def test_an_option_in_front_of_check_is_refused_instead_of_ignored(scale, capsys):
    assert run(["plugins", "--json", "check", "srv-scale"]) == 2

    assert "Write --json after 'check'" in capsys.readouterr().err
