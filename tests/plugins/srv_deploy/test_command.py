"""`srv deploy`, as it is typed: names, amounts, files, and what is refused."""

import pytest
import yaml

from srv.cli import run

LONG = "x" * 70

NAMES = {
    "Größe 2": "grosse-2",
    "2024_prices": "srv-2024-prices",
    LONG: "x" * 63,
}


@pytest.mark.parametrize("name, label", NAMES.items())
def test_a_name_becomes_one_that_dns_takes_and_that_is_said(printed, name, label):
    text = printed("compose", "--name", name)
    assert list(yaml.safe_load(text)["services"]) == [label]
    assert printed.said.err == f"'{name}' is no name there, so it is called {label}; --name gives another.\n"


def test_it_is_called_as_the_folder_is(printed):
    assert list(yaml.safe_load(printed("compose"))["services"]) == ["scale"]
    assert printed.said.err == ""


REFUSED = {
    "a loopback host": (
        (),
        {"host": "127.0.0.1"},
        "which nobody reaches from outside of the container. Give --env SRV_HOST=0.0.0.0",
    ),
    "a free port": ((), {"http_port": 0}, "'http_port' is 0"),
    "a free port of gRPC": ((), {"grpc_port": 0}, "--env SRV_GRPC_PORT=…"),
    "no image's name": (("--image", "a b"), {}, "'a b' is no name for an image."),
    "docker's unit": (("--memory", "512m"), {}, "--memory: '512m' is no amount. Write 512Mi or 2Gi."),
    "no processors": (("--cpu", "0"), {}, "--cpu: '0' is no amount. Write 2, 0.5 or 500m."),
    "no variable": (("--env", "A-B=1"), {}, "'A-B=1' is no variable."),
    "a key told": (("--env", "SRV_KEYS__CI=abc"), {}, "The value of SRV_KEYS__CI is a key"),
    "a setting untold": (("--env", "SRV_HTTP_PORT"), {}, "Give --env SRV_HTTP_PORT=VALUE."),
    "a wrong setting": (("--env", "SRV_HTTP_PORT=many"), {}, "SRV_HTTP_PORT must be"),
    "models nowhere": (("--models", "./m"), {"models_dir": None}, "'models_dir' is null"),
    "no name left": (("--name", "模型"), {}, "Nothing can be called as '模型' there."),
}


@pytest.mark.parametrize("words, settings, sentence", REFUSED.values(), ids=REFUSED)
def test_what_nobody_could_use_is_refused_in_a_sentence(refused, words, settings, sentence):
    assert sentence in refused("compose", *words, settings=settings)


REFUSED_BY_KUBERNETES = {
    "a namespace": (("--namespace", "My_Space"), {}, "'My_Space' is no name of a namespace."),
    "scaling by nothing": (("--max-replicas", "3"), {}, "Say with --cpu how much one may use."),
    "fewer at most": (("--max-replicas", "1", "--replicas", "2", "--cpu", "1"), {}, "fewer than the 2 of --replicas"),
    "a section that may be secret": (("--settings",), {"keys": {"a": "b" * 16}}, "has the section 'keys' of a plugin"),
    "no file": (("--settings",), None, "settings.json to mount."),
}


@pytest.mark.parametrize("words, settings, sentence", REFUSED_BY_KUBERNETES.values(), ids=REFUSED_BY_KUBERNETES)
def test_what_a_cluster_would_not_take_is_refused_in_a_sentence(refused, words, settings, sentence):
    assert sentence in refused("kubernetes", *words, settings=settings)


def test_a_folder_without_models_asks_where_they_come_from(refused, printed, folder):
    (folder / "model-settings.json").unlink()
    assert "holds no model, so its image serves what is mounted at /mnt/models." in refused("compose")
    [service] = yaml.safe_load(printed("compose", "--models", "./m"))["services"].values()
    assert service["volumes"] == ["./m:/mnt/models:ro"]


def test_the_environment_of_this_machine_says_nothing(printed, monkeypatch):
    monkeypatch.setenv("SRV_HTTP_PORT", "9999")
    [service] = yaml.safe_load(printed("compose"))["services"].values()
    assert service["ports"] == ["8080:8080", "8081:8081"]


def test_a_variable_that_is_no_setting_is_told(printed):
    printed("compose", "--env", "SRV_WORKER=2")
    assert "SRV_WORKER is not a setting of srv and is ignored. Did you mean 'SRV_WORKERS'?" in printed.said.err


def test_a_digest_names_an_image(printed):
    image = "registry.example/scale@sha256:" + "a" * 64
    [service] = yaml.safe_load(printed("compose", image=image))["services"].values()
    assert service["image"] == image


def test_it_writes_a_file_and_never_over_one_without_force(folder, tmp_path, capsys):
    file = tmp_path / "compose.yaml"
    words = ["deploy", "compose", str(folder), "--image", "scale:1", "-o", str(file)]
    assert run(words) == 0
    assert capsys.readouterr() == ("", f"Wrote {file}.\n")
    assert run(words) == 1
    assert capsys.readouterr().err == (
        f"{file} is there already. Give --force to replace it, or another name with -o.\n"
    )
    assert run([*words, "--force"]) == 0
    assert list(yaml.safe_load(file.read_text())["services"]) == ["scale"]
