"""Where images go: to a registry, to files, for several platforms; and what is said where they cannot."""

import json
import tarfile
import urllib.request

import pytest

from srv.images import BuildOrder
from srv_build.buildx import Buildx
from srv_build.cli_builders import Buildah, Podman
from srv_build.docker_engine import DockerEngine
from srv_build.errors import NotPushed

from .engines import free_port

pytestmark = [
    pytest.mark.images,
    # The Docker SDK leaves its socket to the collector where a connection was refused.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BUILDERS = {builder.name: builder for builder in (Buildx, DockerEngine, Buildah, Podman)}
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2", "oci.image.index.v1")
)


@pytest.fixture
def make(engines, monkeypatch, tmp_path):
    """Give a builder by name, with insecure registries on loopback."""

    def make(name):
        engines.need(name)
        for variable, value in engines.environ.items():
            monkeypatch.setenv(variable, value)
        text = "".join(f'[[registry]]\nlocation = "{place}"\ninsecure = true\n' for place in ports)
        (tmp_path / "registries.conf").write_text(text)
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
        return BUILDERS[name]()

    ports = [engines.environ.get("REGISTRY", "127.0.0.1:1")]
    make.ports = ports
    return make


@pytest.fixture
def order(tmp_path):
    def order(*tags, **more):
        context = tmp_path / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text("FROM scratch\nCOPY made /made\n")
        (context / "made").write_text("by a test")
        return BuildOrder(context, context / "Dockerfile", tags, **more)

    return order


def manifest(reference):
    """What a registry has under a name: its digest, and the document."""
    registry, _, rest = reference.partition("/")
    name, _, tag = rest.rpartition(":")
    asked = urllib.request.Request(f"http://{registry}/v2/{name}/manifests/{tag}", headers={"Accept": MANIFESTS})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.headers["Docker-Content-Digest"], json.load(answer)


@pytest.mark.parametrize("name", BUILDERS)
def test_an_image_is_pushed_under_every_tag_and_its_digest_is_told(make, order, engines, name):
    engines.need("registry")
    builder, place = make(name), f"{engines.environ['REGISTRY']}/srv-test/{name}"

    image = builder.build(order(f"{place}:1", f"{place}:latest", push=True), lambda _: None)

    assert image.id.startswith("sha256:")
    assert image.digest == manifest(f"{place}:1")[0] == manifest(f"{place}:latest")[0]


def test_an_image_for_several_platforms_is_one_in_the_registry_also_when_it_is_built_again(make, order, engines):
    engines.need("registry")
    builder, tag = make("podman"), f"{engines.environ['REGISTRY']}/srv-test/platforms:1"
    # Without a cache, because Podman 4 takes what has no base for an image of every platform.
    asked = order(tag, platforms=("linux/amd64", "linux/arm64"), push=True, no_cache=True)

    for _ in range(2):
        image = builder.build(asked, lambda _: None)

    digest, document = manifest(tag)
    assert image.digest == digest
    assert {each["platform"]["architecture"] for each in document["manifests"]} == {"amd64", "arm64"}


def test_a_list_of_platforms_that_a_registry_refused_is_not_said_to_be_pushed(make, order, engines):
    engines.need("registry")
    builder, tag = make("buildah"), f"{engines.environ['REGISTRY']}/srv-test/refused:1"
    with pytest.raises(NotPushed, match=r"HTTP response to HTTPS client.* The registry speaks no TLS"):
        # Buildah 1.28 asks for TLS here, whatever its registries.conf says, and ends with 0 when it has none.
        builder.build(order(tag, platforms=("linux/amd64", "linux/arm64"), push=True), lambda _: None)


@pytest.mark.parametrize("name", ["buildx", "docker", "podman"])
def test_a_registry_that_does_not_answer_is_said_and_the_image_was_built(make, order, name):
    tag = f"127.0.0.1:{free_port()}/srv-test/nobody:1"
    make.ports.append(tag.partition("/")[0])
    with pytest.raises(NotPushed) as failure:
        make(name).build(order(tag, push=True), lambda _: None)
    said = str(failure.value)
    assert said.startswith(f"{tag} was built and not pushed: ")
    assert "connection refused" in said
    assert said.endswith("See that the registry runs and is in reach, and push again: what was built is kept.")


@pytest.mark.parametrize("name", ["docker", "buildah", "podman"])
def test_an_image_is_written_to_an_archive_that_docker_load_takes(make, order, tmp_path, name):
    archive = tmp_path / "image.tar"
    make(name).build(order("srv-test/archive:1", output=f"type=docker,dest={archive}"), lambda _: None)
    with tarfile.open(archive) as tar:
        [told] = json.load(tar.extractfile("manifest.json"))
    assert {tag.rpartition("/")[2] for tag in told["RepoTags"]} == {"archive:1"}


@pytest.mark.parametrize("name", ["buildah", "podman"])
def test_an_image_is_written_as_oci_names_it_and_its_files_to_a_folder(make, order, tmp_path, name):
    archive, folder, builder = tmp_path / "image.tar", tmp_path / "files", make(name)
    builder.build(order("srv-test/archive:1", output=f"type=oci,dest={archive}"), lambda _: None)
    builder.build(order("srv-test/archive:1", output=str(folder)), lambda _: None)
    with tarfile.open(archive) as tar:
        assert {"index.json", "oci-layout"} <= set(tar.getnames())
    assert (folder / "made").read_text() == "by a test"


@pytest.mark.parametrize("name", ["buildah", "podman"])
def test_two_builds_of_one_time_have_the_same_layers(make, order, engines, name):
    builder = make(name)
    asked = order("srv-test/alike:1", epoch=1_700_000_000, no_cache=True)
    text = "FROM python:3.11-slim\nRUN mkdir /new && touch /new/made\nCOPY made /made\n"
    asked.dockerfile.write_text(text)
    layers = []
    for _ in range(2):
        asked.context.joinpath("made").touch()
        builder.build(asked, lambda _: None)
        layers.append(engines.image(name, "srv-test/alike:1")["RootFS"]["Layers"])
    assert layers[0] == layers[1]
