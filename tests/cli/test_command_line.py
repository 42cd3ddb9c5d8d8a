"""The command line finds its commands without importing them, and fails with one sentence."""

import subprocess
import sys

import click
import pytest

import srv.cli
from srv.cli import COMMANDS, run
from srv.version import __version__

UNWANTED = ["numpy", "msgspec", "falcon", "grpc", "gunicorn", "httptools", "docker", "marshmallow", "pluggy"]
HELLO = """
    import click

    @click.command()
    @click.option("--fail", is_flag=True)
    def hello(fail):
        click.echo("hello")
        return 7 if fail else None
"""


@pytest.fixture
def hello(site):
    site.add("srv-hello", "[srv.commands]\nhello = hello_command:hello\n", modules={"hello_command": HELLO})
    return site


def imported(arguments, path):
    """The modules that a command imports, in a process of its own."""
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r})\n"
        "from srv.cli import run\n"
        f"code = run({arguments!r})\n"
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    words = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    return int(words[0]), set(words[1:])


def test_help_lists_core_and_says_who_brings_the_rest(hello, capsys):
    assert run(["--help"]) == 0

    out = capsys.readouterr().out
    for name, (_, line) in COMMANDS.items():
        assert f"  {name}" in out
        assert line.split()[0] in out
    assert "  hello       from srv-hello\n" in out
    assert "hello_command" not in sys.modules


def test_version_is_one_line(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"srv {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_and_version_import_click_and_discovery_only(hello, arguments):
    code, modules = imported(arguments, hello.folder)

    assert code == 0
    assert modules.isdisjoint([*UNWANTED, "hello_command", "srv.cli.start", "srv.settings"])


def test_plugins_imports_no_plugin_and_nothing_of_the_server(hello, tmp_path):
    code, modules = imported(["plugins", "--folder", str(tmp_path)], hello.folder)

    assert code == 0
    assert modules.isdisjoint([*UNWANTED, "hello_command", "srv_codecs"])


def test_a_strangers_command_runs(hello, capsys):
    assert run(["hello"]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_what_a_command_returns_is_the_exit_code(hello):
    assert run(["hello", "--fail"]) == 7


def test_a_broken_command_is_one_sentence(hello, capsys):
    (hello.folder / "hello_command.py").write_text("raise SystemExit(0)")

    assert run(["hello"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "The command 'hello' of srv-hello 1.0 (hello_command:hello) is broken: SystemExit: 0."
    )


def test_a_command_of_two_strangers_is_asked_for_with_its_distribution(hello, capsys):
    hello.add("srv-rival", "[srv.commands]\nhello = rival_command:hello\n")

    assert run(["hello"]) == 1
    assert "Both srv-hello and srv-rival bring a command called 'hello'" in capsys.readouterr().err
    assert run(["srv-hello:hello"]) == 0
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "srv-hello:hello" in out
    assert "srv-rival:hello" in out


def test_no_plugin_leaves_a_command_out(hello, capsys):
    assert run(["--no-plugin", "hello", "hello"]) == 1
    assert "'hello' of srv-hello is disabled" in capsys.readouterr().err
    assert run(["--no-plugin", "srv-hello", "--help"]) == 0
    assert "from srv-hello" not in capsys.readouterr().out


def test_a_strangers_command_cannot_take_a_name_of_core(site, capsys):
    site.add("srv-evil", "[srv.commands]\nstart = evil_command:start\n")

    assert run(["start", "--help"]) == 0
    assert "evil" not in capsys.readouterr().out


def test_an_unknown_command_names_the_nearest_and_is_wrong_usage(capsys):
    assert run(["pluggins"]) == 2
    assert "No such command 'pluggins'. Did you mean 'plugins'?" in capsys.readouterr().err


def test_wrong_usage_of_a_command_exits_2(capsys):
    assert run(["plugins", "--nope"]) == 2
    assert "No such option '--nope'" in capsys.readouterr().err.replace(": --nope", " '--nope'")


def test_ctrl_c_is_quiet(hello, capsys):
    (hello.folder / "hello_command.py").write_text(
        "import click\n@click.command()\ndef hello():\n    raise KeyboardInterrupt\n"
    )

    assert run(["hello"]) == 130
    assert capsys.readouterr().err.strip() == ""


def test_what_is_no_srv_error_keeps_its_traceback(hello):
    (hello.folder / "hello_command.py").write_text(
        "import click\n@click.command()\ndef hello():\n    raise ValueError('a bug')\n"
    )

    with pytest.raises(ValueError, match="a bug"):
        run(["hello"])


def test_a_reader_that_leaves_early_is_no_traceback():
    command = f"{sys.executable} -P -m srv plugins --help | true"

    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True)

    assert answer.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name, capsys):
    assert run([name, "--help"]) == 0

    out = capsys.readouterr().out
    assert f"Usage: srv {name}" in out
    assert f"  srv {name}" in out.partition("xample")[2]
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_the_table_ends_as_a_sentence(name):
    assert COMMANDS[name][1].endswith(".")


def test_the_module_runs_as_the_command_does():
    answer = subprocess.run([sys.executable, "-P", "-m", "srv", "--version"], capture_output=True, text=True)

    assert answer.stdout == f"srv {__version__}\n"


def test_the_group_is_a_click_command_for_completion_and_docs():
    assert isinstance(srv.cli.cli, click.Group)


def test_a_root_name_that_no_model_can_have_is_wrong_usage(tmp_path, capsys):
    assert run(["start", str(tmp_path), "--root-name", "no name"]) == 2

    assert "Invalid value for '--root-name': a model's name has letters" in capsys.readouterr().err
