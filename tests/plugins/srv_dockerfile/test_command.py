"""`srv dockerfile`, as it is typed."""

import errno
import json

import pytest

from srv.cli import run
from srv_dockerfile.errors import CannotPrepare
from srv_dockerfile.files import files_at_hand
from srv_dockerfile.ignore_lines import NEEDLESS, own_lines

pytestmark = pytest.mark.usefixtures("site")


def test_it_writes_the_dockerfile_into_the_folder_and_says_what_it_did(folder, capsys):
    assert run(["dockerfile", str(folder)]) == 0

    assert (folder / "Dockerfile").read_text().startswith("# Serves this folder with srv.")
    assert capsys.readouterr() == (
        "",
        (
            f"Wrote {folder}/Dockerfile.\n"
            f"There is no {folder}/.dockerignore, so other builders than srv build send the whole folder; -i writes one.\n"
        ),
    )
    assert sorted(path.name for path in folder.iterdir()) == ["Dockerfile", "model-settings.json", "models.py"]


def test_it_prints_with_a_dash_what_it_would_write(folder, capsys):
    run(["dockerfile", str(folder), "-o", "-"])
    printed = capsys.readouterr().out
    assert not (folder / "Dockerfile").exists()

    run(["dockerfile", str(folder)])

    assert (folder / "Dockerfile").read_text() == printed


def test_it_writes_elsewhere_where_that_is_said(folder, tmp_path):
    assert run(["dockerfile", str(folder), "-o", str(tmp_path / "Containerfile")]) == 0

    assert (tmp_path / "Containerfile").is_file()
    assert not (folder / "Dockerfile").exists()


def test_a_dockerfile_that_is_there_is_kept_unless_force_is_given(folder, capsys):
    (folder / "Dockerfile").write_text("mine")

    assert run(["dockerfile", str(folder)]) == 1
    assert (folder / "Dockerfile").read_text() == "mine"
    assert capsys.readouterr().err == (
        f"{folder}/Dockerfile is there already. Give --force to replace it, or another name with -o.\n"
    )

    assert run(["dockerfile", str(folder), "--force"]) == 0
    assert (folder / "Dockerfile").read_text() != "mine"


def test_it_writes_srv_s_lines_into_dockerignore_below_the_user_s_and_only_once(folder, capsys):
    assert run(["dockerfile", str(folder), "-i"]) == 0
    assert set(NEEDLESS) < set((folder / ".dockerignore").read_text().splitlines())
    assert capsys.readouterr().err.endswith(f"Wrote {folder}/.dockerignore.\n")
    (folder / ".dockerignore").write_text("mine\n")

    assert run(["dockerfile", str(folder), "-i", "--force"]) == 0
    text = (folder / ".dockerignore").read_text()
    assert text.startswith("mine\n# >>> srv: ")
    assert own_lines(folder) == ["mine"]
    assert capsys.readouterr().err.endswith(f"Added srv's lines to {folder}/.dockerignore, below yours.\n")

    (folder / ".dockerignore").write_text(f"{text}yours\n")
    assert run(["dockerfile", str(folder), "-i", "--force"]) == 0
    assert (folder / ".dockerignore").read_text() == text.replace("mine\n", "mine\nyours\n")


def test_other_builders_are_said_to_send_what_the_user_s_own_file_does_not_name(folder, capsys):
    (folder / ".dockerignore").write_text("data\n")
    for name in (".env", ".git", "data"):
        (folder / name).mkdir()

    assert run(["dockerfile", str(folder)]) == 0
    assert capsys.readouterr().err == (
        f"Wrote {folder}/Dockerfile.\n"
        f"Other builders than srv build would also send .env, .git; -i adds srv's lines to {folder}/.dockerignore.\n"
    )

    assert run(["dockerfile", str(folder), "-i", "--force"]) == 0
    assert run(["dockerfile", str(folder), "--force"]) == 0
    assert capsys.readouterr().err.endswith(f"Wrote {folder}/Dockerfile.\n")


def checkout_with_wheel(folder, site, tmp_path):
    """Install a runtime from a wheel that no index has, for the folder's model."""
    wheel = tmp_path / "srv_kiln-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    info = site.add("srv-kiln", "[srv.runtimes]\nkiln = kiln:Kiln\n")
    (info / "direct_url.json").write_text(json.dumps({"url": wheel.as_uri(), "archive_info": {}}))
    (folder / "model-settings.json").write_text('{"runtime": "kiln", "name": "kiln"}')
    return wheel


def test_wheels_of_what_no_index_has_are_laid_into_the_folder(folder, site, tmp_path, capsys):
    wheel = checkout_with_wheel(folder, site, tmp_path)

    assert run(["dockerfile", str(folder)]) == 0

    assert (folder / ".srv" / "wheels" / wheel.name).read_bytes() == b"a wheel"
    assert f"What no index has lies in {folder}/.srv/wheels: {wheel.name}.\n" in capsys.readouterr().err
    (folder / ".dockerignore").write_text(".*\n")
    assert run(["dockerfile", str(folder), "--force"]) == 1
    assert capsys.readouterr().err == (
        ".dockerignore leaves out .srv/wheels, which the image is made of. Add the line '!.srv/wheels' to it.\n"
    )


def test_a_folder_that_is_not_there_and_one_that_cannot_be_written_are_a_sentence(folder, tmp_path, capsys):
    assert run(["dockerfile", str(tmp_path / "nowhere")]) == 1
    assert "nowhere' is not there. Name a folder that exists." in capsys.readouterr().err

    assert run(["dockerfile", str(folder), "-o", str(tmp_path / "no" / "Dockerfile")]) == 1
    assert capsys.readouterr().err.endswith("no/Dockerfile cannot be written: No such file or directory.\n")


def test_a_folder_whose_name_no_model_can_have_needs_a_name(folder, capsys):
    folder = folder.rename(folder.parent / 'mein "Modell" größe')

    assert run(["dockerfile", str(folder)]) == 1
    assert "no model can be called as this folder" in capsys.readouterr().err

    (folder / "model-settings.json").write_text('{"implementation": "models.M", "name": "scale"}')
    assert run(["dockerfile", str(folder), "-o", "-"]) == 0
    assert 'image.title="mein \\"Modell\\" größe"\n' in capsys.readouterr().out


def test_it_is_a_plugin_that_is_listed_and_can_be_left_out(folder, capsys):
    assert run(["plugins"]) == 0
    assert "dockerfile" in capsys.readouterr().out

    assert run(["--no-plugin", "dockerfile", "dockerfile", str(folder)]) == 1
    assert "dockerfile" in capsys.readouterr().err
    assert not (folder / "Dockerfile").exists()


def test_a_plugin_that_is_left_out_changes_no_plan(folder, site, capsys):
    hook = "from srv import hookimpl\n@hookimpl\ndef srv_image_plan(plan):\n    plan.base_image = 'mine:1'\n"
    site.add("srv-base", "[srv.plugins]\nbase = base_hooks\n", modules={"base_hooks": hook})

    run(["dockerfile", str(folder), "-o", "-"])
    assert "ARG BASE_IMAGE=mine:1\n" in capsys.readouterr().out

    run(["--no-plugin", "base", "dockerfile", str(folder), "-o", "-"])
    assert "ARG BASE_IMAGE=python:3." in capsys.readouterr().out


def test_a_bad_line_in_dockerignore_is_a_sentence(folder, capsys):
    (folder / ".dockerignore").write_text("data\n[z-a]\n")

    assert run(["dockerfile", str(folder)]) == 1
    assert capsys.readouterr().err == (
        ".dockerignore has the line '[z-a]', which is no pattern: a range in its brackets runs backwards.\n"
    )


def test_a_secret_is_mounted_by_its_id(folder, capsys):
    assert run(["dockerfile", str(folder), "-o", "-", "--secret", "netrc"]) == 0
    assert "--mount=type=secret,id=netrc,target=/root/.netrc,required=true" in capsys.readouterr().out

    assert run(["dockerfile", str(folder), "-o", "-", "--secret", "$(id)"]) == 1
    assert capsys.readouterr().err.startswith("'$(id)' is no id of a secret.")


FILES = {
    "no room": (
        OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
        r"'/tmp/x'\. Make room there, or name .* TMPDIR",
    ),
    "no right": (
        PermissionError(errno.EACCES, "Permission denied", "m/settings.json"),
        r"'m/settings\.json'\. See that you may",
    ),
    "no file": (
        FileNotFoundError(errno.ENOENT, "No such file or directory", "m"),
        r"'m'\. See that it is there and whole",
    ),
    "no text": (
        UnicodeDecodeError("utf-8", b"x", 0, 1, "invalid start byte"),
        r"a file is no UTF-8 text \(invalid start",
    ),
}


@pytest.mark.parametrize("error, words", FILES.values(), ids=FILES)
def test_a_file_that_fails_while_an_image_is_prepared_is_a_sentence(error, words):
    with pytest.raises(CannotPrepare, match=words), files_at_hand():
        raise error


def test_a_folder_that_takes_no_wheels_is_printed_all_the_same(folder, site, tmp_path, capsys):
    checkout_with_wheel(folder, site, tmp_path)
    (folder / ".srv").write_text("in the way of a folder")

    assert run(["dockerfile", str(folder), "-o", "-"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("# Serves this folder")
    assert f"What it needs cannot be put into {folder}/.srv: srv build does without that." in told.err

    assert run(["dockerfile", str(folder)]) == 1
    assert f"{folder}/.srv cannot be written: " in capsys.readouterr().err


def test_a_secret_ends_the_command_until_it_is_allowed(folder, capsys):
    (folder / ".netrc").write_text("machine example.com login me password hunter2\n")

    assert run(["dockerfile", str(folder)]) == 1
    assert "what is secret: '.netrc' (passwords of hosts)." in capsys.readouterr().err
    assert not (folder / "Dockerfile").exists()

    assert run(["dockerfile", str(folder), "--allow", ".netrc"]) == 0
    assert (folder / "Dockerfile").exists()


def test_it_lists_what_goes_into_the_image_and_what_stays_out(folder, capsys):
    for name, size in ({"weights/a.bin": 2_500_000, "data/x": 70, ".git/HEAD": 41, ".netrc": 9}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x" * size)
    (folder / ".dockerignore").write_text("data\n")

    assert run(["dockerfile", str(folder), "--list"]) == 1
    told = capsys.readouterr()
    assert told.out == (
        "Goes into the image: 4 files, 2.5 MB.\n"
        "    2.5 MB  weights/a.bin\n"
        "      34 B  model-settings.json\n"
        "       9 B  .netrc  (a secret: passwords of hosts)\n"
        "       0 B  models.py\n"
        "Stays out: 116 B.\n"
        "      70 B  data/  (by the line data)\n"
        "      41 B  .git/  (by the line **/.git)\n"
        "       5 B  .dockerignore  (by the line .dockerignore)\n"
    )
    assert "what is secret: '.netrc'" in told.err
    assert not (folder / "Dockerfile").exists()

    assert run(["dockerfile", str(folder), "--list", "--json", "--allow", ".netrc"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"][2] == {"name": ".netrc", "size": 9, "secret": "passwords of hosts"}
    assert document["left_out"][0] == {"name": "data/", "size": 70, "line": "data"}
