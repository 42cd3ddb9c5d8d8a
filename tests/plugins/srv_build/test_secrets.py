"""--secret: what is given as one, which builders take it, and what the Dockerfile then has."""

from dataclasses import replace
from pathlib import Path

import pytest
from servers import write_model

from srv.cli import run
from srv.errors import SrvError
from srv.images import Builder, BuildOrder, ImagePlan, Secret
from srv_build.builders import choose
from srv_build.errors import CannotDo, NoBuilder
from srv_build.secrets import secrets_of
from srv_dockerfile.build_secrets import check_stay


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    write_model(folder)
    return folder


def test_a_secret_is_a_file_or_a_variable_in_docker_s_own_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "hush")
    (tmp_path / "netrc").write_text("machine x")
    here = tmp_path / "netrc"

    said = [
        "id=netrc,src=netrc",
        "type=file,id=a,source=netrc",
        "id=b,env=TOKEN",
        "id=TOKEN",
        "id=c,type=env,src=TOKEN",
    ]

    assert secrets_of(said) == (
        Secret("netrc", file=here),
        Secret("a", file=here),
        Secret("b", variable="TOKEN"),
        Secret("TOKEN", variable="TOKEN"),
        Secret("c", variable="TOKEN"),
    )
    assert secrets_of(["id=netrc"]) == (Secret("netrc", file=here),)


WRONG = {
    "no id": ("src=/etc/hostname", "has no id"),
    "no pair": ("netrc", "'netrc' in 'netrc' is not KEY=VALUE"),
    "an unknown word": ("id=a,sorce=x", "'sorce' in 'id=a,sorce=x' is none of id, src, env and type"),
    "no such file": ("id=a,src=/not/there", "'/not/there' of 'id=a,src=/not/there' is no file"),
    "no such variable": ("id=a,env=NOT_SET_ANYWHERE", "'NOT_SET_ANYWHERE' of 'id=a,env=NOT_SET_ANYWHERE' is not set"),
    "two places": ("id=a,src=/etc/hostname,env=PATH", "must name either a file with src, or a variable with env"),
}


@pytest.mark.parametrize("word, words", WRONG.values(), ids=WRONG)
def test_a_secret_that_nobody_can_read_is_wrong_usage(folder, word, words, capsys):
    assert run(["build", str(folder), "-t", "acme", "--secret", word]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


class Plain(Builder):
    name = "plain"

    def unavailable(self):
        return None

    def build(self, order, progress):
        return "sha256:0"


class Discreet(Plain):
    name = "discreet"
    heeds = frozenset({"--secret"})


def test_a_builder_that_takes_no_secrets_is_passed_over_and_refused_by_name():
    both = {"plain": Plain(), "discreet": Discreet()}

    asked = BuildOrder(Path(), Path(), ("acme",))
    secretly = replace(asked, secrets=(Secret("a", variable="A"),))

    assert choose(both, None, asked, folder=".").builder.name == "plain"
    assert choose(both, None, secretly, folder=".").builder.name == "discreet"
    with pytest.raises(CannotDo, match=r"plain cannot do --secret\. discreet can: choose one with --builder"):
        choose(both, "plain", secretly, folder=".")
    with pytest.raises(NoBuilder, match="plain: it cannot do --secret"):
        choose({"plain": Plain()}, None, secretly, folder=".")


def test_a_file_with_a_secret_does_not_travel(folder):
    (folder / "pip.conf").write_text("[global]\n")
    elsewhere = folder.parent / "pip.conf"

    with pytest.raises(SrvError, match=r"'pip\.conf' is given as a secret and lies in the folder.*\.dockerignore"):
        check_stay(ImagePlan(folder, "models"), [folder / "pip.conf"])

    check_stay(ImagePlan(folder, "models", ignore=["pip.conf"]), [folder / "pip.conf", elsewhere])
