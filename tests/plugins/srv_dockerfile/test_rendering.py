"""The text of the Dockerfile: what each builder takes, and no word more."""

import json
import re

import pytest
from dockerfile_reading import instructions, stages

from srv.images import ImagePlan
from srv_dockerfile.rendering import render


@pytest.fixture
def text(tmp_path):
    """The text of a plan with these fields."""

    def make(**fields):
        given = {"title": "scale", "requirements": ["srv-inference==1.0"], "command": ["python", "-P"]} | fields
        return render(ImagePlan(tmp_path, **given))

    return make


EVERYTHING = {
    "conda_file": "environment.yaml",
    "conda_specs": ["python=3.11", "pip"],
    "requirements_files": ["requirements.txt"],
    "requirements_needs": ["more/limits.txt", "a b.txt"],
    "requirements": ["srv-kiln==1.0", "thing @ https://x.example/t.whl"],
    "system_packages": ["libgomp1"],
    "build_packages": ["gcc", "libc6-dev"],
    "env": {"B": "2", "A": "1"},
    "labels": {"org.opencontainers.image.title": "scale"},
    "artifacts": [["a/weights.bin", "b c.bin"], ["d.bin"]],
    "model_environments": ["old/env.tar.gz"],
    "ports": [8080, 8081],
    "health": ["python", "-P", "-m", "srv", "health"],
}
INSTALL = "RUN /opt/tools/bin/python /opt/tools/install.py /opt/env/bin/python"
FINISHED = (
    "&& (/opt/env/bin/python -P -m srv_dockerfile.slimming /opt/env || /opt/env/bin/python -m compileall -q /opt/env/lib) "
    "&& chmod -R g=u,o-w /opt/env && find /opt/env -exec touch -h -d @315532800 {} +"
)


@pytest.mark.parametrize("fields", [{}, EVERYTHING], ids=["plain", "everything"])
def test_the_dialect_is_the_one_that_every_builder_takes(text, fields):
    written = text(**fields)
    lines = instructions(written)

    assert not re.search(
        r"<<|--mount|--chmod|--chown|--link|--parents|^# *syntax|^# *escape", written, re.MULTILINE | re.IGNORECASE
    )
    assert {line.split()[0] for line in lines} <= {
        "ARG",
        "FROM",
        "USER",
        "ENV",
        "RUN",
        "WORKDIR",
        "COPY",
        "LABEL",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "CMD",
    }
    assert not [
        line for line in lines if line.startswith("COPY") and re.search(r"[*?\[](?!\")", line.removeprefix("COPY ["))
    ]
    used = re.findall(r"--from=(\w+)", written)
    named = [line.split(" AS ")[1] for line in lines if " AS " in line]
    assert {*used} == {*named}


@pytest.mark.parametrize("fields", [{}, EVERYTHING], ids=["plain", "everything"])
def test_the_image_ends_as_a_numeric_user_with_no_step_run_after_it(text, fields):
    last = stages(text(**fields))[-1]

    assert last[-2:] == ["USER 1000:0", 'CMD ["python", "-P"]']
    assert [line for line in last if line.startswith("USER")][-1] == "USER 1000:0"


def test_index_arguments_exist_in_the_environment_s_stage_alone(text):
    environment, artifacts, _, folder, image = stages(text(**EVERYTHING))[1:]

    assert [line for line in environment if line.startswith("ARG PIP_")] == [
        "ARG PIP_INDEX_URL",
        "ARG PIP_EXTRA_INDEX_URL",
        "ARG PIP_TRUSTED_HOST",
        "ARG PIP_CERT",
    ]
    assert not [line for line in [*artifacts, *folder, *image] if "PIP_" in line or line.startswith("ARG")]


def test_the_folder_is_copied_last_so_that_a_code_change_makes_one_layer_anew(text):
    environment, _, _, folder, image = stages(text(**EVERYTHING))[1:]

    assert [line for line in image if line.startswith(("COPY", "RUN"))][-1] == "COPY --from=folder /folder /"
    assert "COPY . /folder/srv/app" in folder
    assert not [line for line in environment if line.startswith("COPY . ")]


def test_no_two_stages_begin_alike_so_that_the_classic_builder_finds_the_right_one_after_no_cache(text):
    for fields in (EVERYTHING, EVERYTHING | {"conda_file": None}):
        begin = [stage[1] for stage in stages(text(**fields))[1:]]
        assert len({*begin}) == len(begin) == 5


def test_large_files_are_layers_before_the_code_and_not_in_the_code_s(text):
    _, artifacts, folder, image = stages(text(artifacts=[["a/weights.bin", "b c.bin"], ["d.bin"]]))[1:]

    assert [line for line in artifacts if line.startswith("COPY")] == [
        "COPY a/weights.bin 1/srv/app/a/",
        'COPY ["b c.bin", "1/srv/app/"]',
        "COPY d.bin 2/srv/app/",
    ]
    assert folder[-1].startswith("RUN cd /folder/srv/app && rm -rf a/weights.bin 'b c.bin' d.bin && chmod")
    assert [line for line in image if line.startswith("COPY")] == [
        "COPY --from=environment /opt/env /opt/env",
        "COPY --from=artifacts /artifacts/1 /",
        "COPY --from=artifacts /artifacts/2 /",
        "COPY --from=folder /folder /",
    ]


def test_an_environment_of_a_model_is_a_layer_that_is_extracted_where_it_stays(text):
    _, environments, folder, image = stages(text(model_environments=["old/env.tar.gz", "b c.tar"]))[1:]

    assert environments == [
        "FROM environment AS model_environments",
        "COPY old/env.tar.gz /srv/app/old/env.tar.gz",
        'COPY ["b c.tar", "/srv/app/b c.tar"]',
        (
            "RUN /opt/env/bin/python -P -m srv.environments /srv/app/old/env.tar.gz '/srv/app/b c.tar' "
            "&& mkdir -p /model_environments/1/srv/app/old "
            "&& mv /srv/app/old/env.tar.gz /model_environments/1/srv/app/old/ "
            "&& mkdir -p /model_environments/2/srv/app && mv '/srv/app/b c.tar' /model_environments/2/srv/app/ "
            "&& chmod -R g=u,o-w /model_environments/*/srv/app "
            "&& find /model_environments -exec touch -h -d @315532800 {} +"
        ),
    ]
    assert "rm -rf old/env.tar.gz 'b c.tar' && chmod" in folder[-1]
    assert [line for line in image if line.startswith("COPY")] == [
        "COPY --from=environment /opt/env /opt/env",
        "COPY --from=model_environments /model_environments/1 /",
        "COPY --from=model_environments /model_environments/2 /",
        "COPY --from=folder /folder /",
    ]


def test_files_have_one_time_whenever_the_image_is_built(text):
    for stage in stages(text(**EVERYTHING))[1:5]:
        assert stage[-1].endswith("-exec touch -h -d @315532800 {} +")


def test_what_uv_understands_otherwise_is_left_to_pip_and_said(text, tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "--pre\n--index-url https://x.example  # --no-deps\ncolorama --hash=a:b\n"
    )

    written = text(requirements_files=["requirements.txt"])

    assert "# By pip: uv does not have --index-url, --pre, or understands it otherwise." in written
    assert "\nRUN /opt/tools/bin/python -m pip --python /opt/env/bin/python install" in written
    for kind in (written, text(requirements_files=["requirements.txt"], conda_file="conda.yml")):
        assert "uv>=" not in kind
        assert "RUN" not in [line.strip() for line in kind.splitlines()]


def test_a_plain_environment_is_a_virtual_one_of_the_base_image(text):
    head, environment, *_ = stages(text())

    assert head == ["ARG BASE_IMAGE=python:3.11-slim"]
    assert environment[0] == "FROM ${BASE_IMAGE} AS environment"
    assert environment[-2].startswith("RUN python -m venv --without-pip /opt/env && python -m venv /opt/tools && (/opt")
    assert environment[-1] == f"{INSTALL} srv-inference==1.0 {FINISHED}"
    assert not [line for line in environment if line.startswith("COPY")]


def test_a_conda_file_is_made_an_environment_by_root_at_its_place(text):
    head, environment, *_ = stages(text(conda_file="conda.yml", conda_specs=["python=3.11", "a>1"], requirements=[]))

    assert head == ["ARG BASE_IMAGE=python:3.11-slim", "ARG CONDA_IMAGE=mambaorg/micromamba:2-bookworm"]
    assert environment[:3] == ["FROM ${CONDA_IMAGE} AS environment", "WORKDIR /tmp/environment", "USER root"]
    assert environment[-3:] == [
        "COPY conda.yml ./",
        "RUN micromamba create -y -p /opt/env -f conda.yml python=3.11 'a>1'",
        f"RUN {FINISHED.removeprefix('&& ')}",
    ]


def test_files_keep_their_places_beside_each_other(text, tmp_path):
    (tmp_path / "vendored").mkdir()

    environment = stages(
        text(requirements_files=["requirements.txt"], requirements_needs=["sub/a.txt", "vendored", "a b.txt"])
    )[1]

    assert [line for line in environment if line.startswith("COPY")] == [
        "COPY sub/a.txt ./sub/",
        "COPY vendored ./vendored/",
        'COPY ["a b.txt", "./"]',
        "COPY requirements.txt ./",
    ]


def test_wheels_are_found_where_they_lie_and_are_not_left_in_the_folder(text, tmp_path):
    _, environment, folder, _ = stages(text(wheels=[tmp_path / "a-1-py3-none-any.whl"]))

    assert "COPY .srv/wheels ./.srv/wheels/" in environment
    assert environment[-1].startswith(f"{INSTALL} --find-links .srv/wheels srv-inference==1.0")
    assert folder[-1].startswith("RUN cd /folder/srv/app && rm -rf .srv && chmod -R g=u,o-w /folder/srv/app &&")


def test_a_conda_environment_is_not_solved_anew_for_what_only_pip_reads(text, tmp_path):
    fields = {
        "conda_file": "conda.yml",
        "requirements_files": ["requirements.txt"],
        "requirements_needs": ["limits.txt"],
    }

    environment = stages(text(**fields, wheels=[tmp_path / "a-1-py3-none-any.whl"]))[1]

    steps = [line.split()[1] for line in environment if line.startswith(("COPY", "RUN"))]
    before, uv, *after = steps[2:]
    assert steps[:2] == ["conda.yml", "limits.txt"]
    assert (before, uv) == ("micromamba", "(/opt/env/bin/python")
    assert after == ["requirements.txt", ".srv/wheels", "/opt/env/bin/python"]


def test_what_has_hashes_is_installed_in_a_run_of_its_own(text):
    environment = stages(text(requirements_files=["requirements.txt"], hashed=True))[1]

    assert environment[-2:] == [
        f"{INSTALL} --require-hashes -r requirements.txt",
        f"{INSTALL} srv-inference==1.0 {FINISHED}",
    ]


def test_secrets_are_mounted_while_packages_are_installed_and_nowhere_else(text):
    written = text(conda_file="conda.yml", secrets=["netrc", "pip.conf", "INDEX_TOKEN", "a.file"])

    mounted = (
        "--mount=type=secret,id=netrc,target=/root/.netrc,required=true "
        "--mount=type=secret,id=pip.conf,required=true "
        "--mount=type=secret,id=INDEX_TOKEN,required=true "
        "--mount=type=secret,id=a.file,required=true "
        "export NETRC=/root/.netrc && export PIP_CONFIG_FILE=/run/secrets/pip.conf "
        '&& INDEX_TOKEN="$(cat /run/secrets/INDEX_TOKEN)" && export INDEX_TOKEN && '
    )
    steps = [line for line in instructions(written) if "secret" in line]
    assert [re.sub(r"\s+", " ", step).partition(mounted)[2].split()[0] for step in steps] == [
        "micromamba",
        "(/opt/env/bin/python",
        "/opt/env/bin/python",
    ]


def test_requirements_are_quoted_for_the_shell(text):
    assert "'numpy<3; python_version > \"3\"'" in text(requirements=['numpy<3; python_version > "3"'])


HOSTILE = ['a "b" \\ $HOME ${X} `id` größe', "line\nLABEL evil=1", "' \t #"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_a_value_whatever_is_in_it(text, value):
    lines = text(labels={"title": value}, env={"A": value}).splitlines()

    words = [line.partition("=")[2] for line in lines if line.startswith(("LABEL title", "ENV A="))]
    meant = "".join(character for character in value if character.isprintable())
    assert [re.sub(r"\\(.)", r"\1", word[1:-1]) for word in words] == [meant, meant]
    assert all(re.fullmatch(r'"(?:[^"\\$]|\\.)*"', word) for word in words)
    assert len([line for line in lines if line.startswith("LABEL")]) == 1


def test_the_command_runs_without_a_shell(text):
    command = ["python", "-P", 'ein "Wort" größer']

    last = stages(text(command=command))[-1][-1]

    assert json.loads(last.removeprefix("CMD ")) == command


def test_the_same_plan_gives_the_same_text_whatever_order_it_was_filled_in(text):
    other = EVERYTHING | {"env": {"A": "1", "B": "2"}}

    assert text(**EVERYTHING) == text(**other)


def test_no_line_is_too_long_to_read_and_none_ends_in_blanks(text):
    for line in text(**EVERYTHING).splitlines():
        assert len(line) <= 120
        assert line == line.rstrip()


def test_there_is_never_more_than_one_empty_line(text):
    for fields in ({}, EVERYTHING):
        assert "\n\n\n" not in text(**fields)
