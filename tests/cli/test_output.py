import json
import subprocess
import sys

from servers import write_model

from srv.cli.output import echo


def test_what_is_printed_has_its_lines_and_tabs_and_no_other_control_character(capsys):
    echo("one\ttab\r\ntwo\x1b[2J\x9b\u202e\ud800")

    assert capsys.readouterr().out == "one\ttab\ntwo\\x1b[2J\\x9b\\x202e\\xd800\n"


def test_a_model_that_does_not_load_moves_no_cursor_in_the_output_of_check(tmp_path):
    write_model(tmp_path, load="raise ValueError('\\x1b[2J' + chr(0x9b) + '1A\\nhidden')")

    checked = subprocess.run(
        [sys.executable, "-m", "srv", "check", tmp_path], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 1
    for text in (checked.stdout, checked.stderr):
        assert text.replace("\n", "").replace("\t", "").isprintable()
    assert "hidden" in checked.stderr


def test_a_traceback_that_nobody_foresaw_moves_no_cursor(tmp_path):
    code = (
        "import srv.cli, srv.cli.settings as s\n"
        "def fail(*_, **__): raise RuntimeError('\\x1b[2J' + chr(0x9b) + '1A')\n"
        "s._show = fail\n"
        "srv.cli.main(['settings'])"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert ended.returncode == 1
    assert r"RuntimeError: \x1b[2J\x9b1A" in ended.stderr
    assert ended.stderr.replace("\n", "").isprintable()


def test_json_for_programs_is_the_same_as_before(capsys):
    echo(json.dumps({"a": "\x1b\n"}, indent=2))

    assert json.loads(capsys.readouterr().out) == {"a": "\x1b\n"}
