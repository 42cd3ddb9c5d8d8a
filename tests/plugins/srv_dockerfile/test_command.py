"""`srv dockerfile`, as it is typed."""

import json

import pytest

from srv.cli import run
from srv_dockerfile.ignoring import LINES

pytestmark = pytest.mark.usefixtures("site")


def test_it_writes_the_dockerfile_into_the_folder_and_says_what_it_did(folder, capsys):
    assert run(["dockerfile", str(folder)]) == 0

    assert (folder / "Dockerfile").read_text().startswith("# Serves this folder with srv.")
    assert capsys.readouterr() == (
        "",
        (
            f"Wrote {folder}/Dockerfile.\n"
            f"There is no {folder}/.dockerignore, so builders send the whole folder; -i writes one.\n"
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


def test_it_writes_a_dockerignore_that_is_asked_for_and_keeps_one_that_is_there(folder, capsys):
    assert run(["dockerfile", str(folder), "-i"]) == 0
    assert (folder / ".dockerignore").read_text().splitlines() == list(LINES)
    (folder / ".dockerignore").write_text("mine\n")

    assert run(["dockerfile", str(folder), "-i", "--force"]) == 0

    assert (folder / ".dockerignore").read_text() == "mine\n"
    assert capsys.readouterr().err.endswith(f"{folder}/.dockerignore is your own and stays as it is.\n")


def test_wheels_of_what_no_index_has_are_laid_into_the_folder(folder, site, tmp_path, capsys):
    wheel = tmp_path / "srv_kiln-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    info = site.add("srv-kiln", "[srv.runtimes]\nkiln = kiln:Kiln\n")
    (info / "direct_url.json").write_text(json.dumps({"url": wheel.as_uri(), "archive_info": {}}))
    (folder / "model-settings.json").write_text('{"runtime": "kiln", "name": "kiln"}')

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
