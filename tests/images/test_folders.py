"""One image of a folder in all the ways in which images are run, and folders that mean ill."""

import json
import os
import re
import shutil
import time

import pytest
from guides import TOP, blocks
from servers import write_model

from .engines import Container, free_port
from .folders import Case, build, hinted, plain

pytestmark = pytest.mark.images

TOKEN = "s3cret-t0ken"
#: A private index, which all builds here are given, so that they share one environment.
INDEX = ["--build-arg", f"PIP_EXTRA_INDEX_URL=file:///tmp/{TOKEN}/simple"]


@pytest.fixture(scope="module")
def builder(engines):
    """The first that is there."""
    for name in ("docker", "buildah", "podman"):
        if name not in engines.obstacles:
            return name
    pytest.skip("No builder is there: " + " ".join(f"{name}: {why}." for name, why in engines.obstacles.items()))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return plain(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="module")
def image(engines, builder, case):
    return build(engines, builder, case, "srv-test:ways", *INDEX)


WAYS = {
    "as it is": [],
    "as 1000": ["--user=1000:0"],
    "as any user of group 0": ["--user=12345:0"],
    "with a root file system that is read-only": ["--read-only", "--tmpfs=/tmp"],
    "with both": ["--user=12345:0", "--read-only", "--tmpfs=/tmp"],
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_the_same_image_serves(options, engines, builder, case, image):
    with engines.container(builder, image.tag, *options) as container:
        container.wait_ready()
        assert container.infer(case.model, 1.0) == ([2.0], [2.0])
        assert container.stop() == 0


def test_its_first_process_is_srv_and_nothing_in_it_is_writable_for_the_world(engines, builder, image):
    with engines.container(builder, image.tag, "--user=12345:0") as container:
        container.wait_ready()
        command = container.execute("cat", "/proc/1/cmdline").stdout.split("\0")
        assert command[:5] == ["python", "-P", "-m", "srv", "start"]
        found = container.execute("find", "/opt/env", "/srv", "!", "-type", "l", "-perm", "-0002").stdout
        assert found == ""
        assert container.execute("test", "-e", "/srv/app/.srv", check=False).returncode == 1


def test_the_environment_overrides_the_image(engines, builder, image):
    with engines.container(builder, image.tag, SRV_SERVER_NAME="from-outside") as container:
        container.wait_ready()
        told = container.execute("python", "-P", "-m", "srv", "settings", "/srv/app").stdout
        assert re.search(r"server_name .*from-outside", told), told


def test_a_change_of_code_runs_no_pip_and_takes_seconds(engines, builder, case, image, figure):
    write_model(case.folder, predict="return 20 * x")
    try:
        again = build(engines, builder, case, "srv-test:again", *INDEX)
    finally:
        write_model(case.folder)
    steps = again.said.splitlines()
    runs = [
        place for place, line in enumerate(steps) if re.search(r"RUN .*(pip install|install\.py|apt-get|venv) ", line)
    ]
    assert len(runs) >= 2
    assert [steps[place] for place in runs if "kept from an earlier build" not in steps[place + 1]] == []
    with engines.container(builder, again.tag) as container:
        assert container.wait_ready().infer(case.model, 1.0) == ([20.0], [20.0])
    figure(f"{builder}: first build {image.seconds:.1f} s, after a change of code {again.seconds:.1f} s")


def test_a_changed_line_makes_one_layer_anew_and_none_of_weights(engines, builder, tmp_path):
    sees = "assert self.artifact('deep/weights.bin').stat().st_size == 5 << 20\nreturn True"
    model = write_model(tmp_path / "folder", load=sees)
    settings = {"implementation": "models.Model", "parameters": {"uri": "."}}
    (model / "model-settings.json").write_text(json.dumps(settings))
    weights = model / "deep/weights.bin"
    weights.parent.mkdir()
    weights.write_bytes(bytes(5 << 20))
    weights.chmod(0o600)
    first = build(engines, builder, Case(tmp_path / "folder"), "srv-test:weights", *INDEX)
    layers = {*engines.image(builder, first.tag)["RootFS"]["Layers"]}
    (model / "notes.txt").write_text("changed\n")
    again = build(engines, builder, Case(tmp_path / "folder"), "srv-test:weights-again", *INDEX)
    assert len({*engines.image(builder, again.tag)["RootFS"]["Layers"]} - layers) == 1
    with engines.container(builder, again.tag, "--user=12345:0") as container:
        assert container.wait_ready().infer("double", 1.0) == ([2.0], [2.0])
        told = container.execute("stat", "-c", "%a", "/srv/app/double/deep/weights.bin")
        assert told.stdout.split() == ["660"]


def test_neither_history_nor_layers_hold_an_address_a_token_or_a_path_of_this_machine(
    engines, builder, case, image, tmp_path
):
    runner = engines.runner(builder)
    told = engines.run(runner, "history", "--no-trunc", image.tag).stdout
    engines.run(runner, "save", "-o", tmp_path / "image.tar", image.tag)
    secrets = [TOKEN, str(case.folder), str(tmp_path.parent)]
    assert [secret for secret in secrets if secret in told] == []
    layers = (tmp_path / "image.tar").read_bytes()
    assert [secret for secret in secrets if secret.encode() in layers] == []


def test_names_with_blanks_quotes_and_letters_of_any_script_travel(engines, builder, tmp_path):
    folder = tmp_path / 'it\'s a "naïve" $(id) 模型'
    write_model(folder, load="import queue, types\nassert queue.Queue and types.ModuleType\nreturn True")
    (folder / "queue.py").write_text("raise RuntimeError('the wrong queue')\n")
    (folder / "types.py").write_text("raise RuntimeError('the wrong types')\n")
    names = ["a b.txt", "it's.txt", 'say "hi".txt', "$HOME.txt", "模型.bin", "-rf"]
    for name in names:
        (folder / name).write_text(name)
    (folder / "huge.bin").touch()
    with (folder / "huge.bin").open("r+b") as huge:
        huge.truncate(2 << 30)
    (folder / ".dockerignore").write_text("huge.bin\n")
    built = build(engines, builder, Case(folder), "srv-test:hostile", *INDEX)
    with engines.container(builder, built.tag) as container:
        assert container.wait_ready().infer("double", 1.0) == ([2.0], [2.0])
        there = container.execute("ls", "-1", "/srv/app").stdout.splitlines()
    assert set(names) <= set(there)
    assert "huge.bin" not in there
    assert built.seconds < 60


def test_a_codec_that_only_a_hint_names_is_in_the_image(engines, builder, tmp_path):
    case = hinted(tmp_path)
    built = build(engines, builder, case, "srv-test:hinted", *INDEX)
    with engines.container(builder, built.tag) as container:
        assert container.wait_ready().infer(case.model, 1.0) == ([2.0], [2.0])


def test_a_link_that_leaves_the_folder_is_refused(engines, builder, tmp_path):
    write_model(tmp_path / "folder")
    (tmp_path / "folder/secret").symlink_to("../../secret")
    answer = engines.srv("build", tmp_path / "folder", "-t", "srv-test:link", "--builder", builder, check=False)
    assert answer.returncode == 1
    assert "'secret' is a link to '../../secret', which lies outside of the folder" in answer.stderr


def test_a_step_that_fails_shows_its_last_words_and_leaves_no_file(engines, builder, tmp_path):
    write_model(tmp_path / "folder")
    (tmp_path / "folder/requirements.txt").write_text("colorama==999\n")
    (tmp_path / "tmp").mkdir()
    answer = engines.srv(
        *("build", tmp_path / "folder", "-t", "srv-test:failing", "--builder", builder),
        check=False,
        TMPDIR=str(tmp_path / "tmp"),
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "No matching distribution found for colorama==999" in answer.stderr
    assert answer.stderr.splitlines()[-1].startswith("The build of srv-test:failing failed at the step 'RUN ")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_quiet_prints_the_id_only(engines, builder, case, image):
    answer = engines.srv("build", case.folder, "-t", "srv-test:quiet", "--builder", builder, "--quiet", *INDEX)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", answer.stdout)
    assert answer.stderr == ""


def test_a_dry_run_prints_what_srv_dockerfile_writes_and_builds_nothing(engines, builder, case):
    dry = engines.srv("build", case.folder, "-t", "srv-test:dry", "--builder", builder, "--dry-run")
    assert dry.stdout == engines.srv("dockerfile", case.folder, "-o", "-").stdout
    assert engines.run(engines.runner(builder), "image", "inspect", "srv-test:dry", check=False).returncode != 0


def test_docker_says_healthy_by_the_image_s_own_check(engines, image, builder):
    engines.need("docker")
    with engines.container(builder, image.tag) as container:
        container.wait_ready()
        until = time.monotonic() + 60
        while (status := container.state()["Health"]["Status"]) == "starting" and time.monotonic() < until:
            time.sleep(0.5)
        assert status == "healthy", container.state()["Health"]


@pytest.fixture(scope="module")
def compose(engines, builder):
    """Docker Compose, of either kind; Debian's package is installed where neither is there."""
    engines.need("docker")
    assert builder == "docker"
    for words in ([engines.docker, "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and engines.run(*words, "version", check=False).returncode == 0:
            return words
    if os.geteuid() or shutil.which("apt-get") is None:
        pytest.skip("Docker Compose is not installed, and is not to be had by apt-get here")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker-compose"]
    if engines.run(*install, check=False, DEBIAN_FRONTEND="noninteractive").returncode:
        engines.run("apt-get", "update", "-qq")
        engines.run(*install, DEBIAN_FRONTEND="noninteractive")
    return ["docker-compose"]


def test_docker_compose_runs_it_as_srv_deploy_says(engines, compose, case, image, tmp_path):
    http, grpc = free_port(), free_port()
    ports = ["--env", f"SRV_HTTP_PORT={http}", "--env", f"SRV_GRPC_PORT={grpc}"]
    file = tmp_path / "compose.yaml"
    limits = ["--cpu", "1", "--memory", "512Mi", "--shm", "128Mi"]
    engines.srv("deploy", "compose", case.folder, "--image", image.tag, *ports, *limits, "-o", file)
    words = [*compose, "-p", "srv-test-deploy", "-f", file]
    try:
        engines.run(*words, "up", "-d")
        name = engines.run(*words, "ps", "-q").stdout.strip()
        container = Container(engines, engines.docker, name, int(http), int(grpc))
        container.wait_ready()
        assert container.infer(case.model, 1.0) == ([2.0], [2.0])
        [told] = json.loads(engines.run(engines.docker, "inspect", name).stdout)
        host = told["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"], told["Config"]["User"]) == (True, ["ALL"], "1000:0")
        assert (host["Memory"], host["ShmSize"], host["NanoCpus"]) == (512 << 20, 128 << 20, 10**9)
        status = container.execute("cat", "/proc/1/status").stdout
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE), status
        assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE), status
        assert container.execute("touch", "/srv/app/x", check=False).returncode != 0
        container.execute("touch", "/tmp/x")
        engines.run(*words, "stop")
        assert container.state()["ExitCode"] == 0
    finally:
        engines.run(*words, "down", check=False)


GUIDE_RUNS = [
    line
    for guide in (TOP / "docs/build-an-image.md", TOP / "docs/deploy.md")
    for block in blocks(guide)
    if block.language == "bash"
    for line in block.text.splitlines()
    if line.startswith("docker run ")
]


@pytest.mark.parametrize("command", GUIDE_RUNS)
def test_each_docker_run_of_the_guides_serves(command, engines, builder, image, tmp_path):
    engines.need("docker")
    (tmp_path / "models").mkdir()
    (tmp_path / "settings.json").write_text('{"http_port": 9000}')
    (tmp_path / "settings.json").chmod(0o644)
    # The guide's ports may be taken here, and what it runs stays in the foreground.
    words = re.sub(r"-p (\d+):(\d+)", r"-p 127.0.0.1::\2", command)
    words = re.sub(r" \w+:1$", f" {image.tag}", words).replace("docker run", f"{engines.docker} run --detach")
    name = engines.run("bash", "-c", words, cwd=tmp_path).stdout.strip()
    try:
        port = re.search(r"-p (\d+):", command)[1]
        address = engines.run(engines.docker, "port", name, f"{port}/tcp").stdout.split()[0]
        container = Container(engines, engines.docker, name, int(address.rpartition(":")[2]), 0).wait_ready()
        container.execute(*engines.health_check(builder, image.tag))
    finally:
        engines.run(engines.docker, "rm", "--force", name, check=False)
