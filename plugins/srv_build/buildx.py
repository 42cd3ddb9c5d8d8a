"""The builder `buildx`: BuildKit through the docker client's plugin, with Docker's contexts and its own logins."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from pathlib import Path

from srv.images import Builder, BuildOrder, BuiltImage, Progress
from srv_build.buildkit_output import BuildKitOutput
from srv_build.errors import denied
from srv_build.exports import cache_of, output_of
from srv_build.programs import ProgramFailed, argument, asked, run, secret_words

#: What every BuildKit heeds.
BUILDKIT = frozenset(
    {
        "--platform with several",
        "--pull",
        "--secret",
        "--load",
        "--output",
        "--cache-from",
        "--cache-to",
        "--sbom",
        "--provenance",
    }
)
ONE_EXPORT = "it gives an image to one place, so --push, --load and --output go in builds of their own"


class Buildx(Builder):
    """A builder that calls `docker buildx build`; which BuildKit that is, `docker buildx use` has said."""

    name = "buildx"
    heeds = BUILDKIT
    reproducible = True

    def unavailable(self) -> str | None:
        """Return why it cannot be used: no client, no plugin, or no engine that answers it."""
        if shutil.which("docker") is None:
            return "the program docker is not installed"
        try:
            asked("docker", "buildx", "version")
        except ProgramFailed:
            return "docker has not its plugin buildx (Debian's package docker-buildx, Docker's docker-buildx-plugin)"
        try:
            asked("docker", "buildx", "inspect")
        except ProgramFailed as error:
            if "permission denied" in str(error):
                return denied(os.environ.get("DOCKER_HOST", "its socket"))
            return str(error)
        return None

    def refusal(self, order: BuildOrder) -> str | None:
        """Return why it cannot: two places to send the image to, or several platforms and no place that has room."""
        if order.push + order.load + (order.output is not None) > 1:
            return ONE_EXPORT
        if len(order.platforms) > 1 and not (order.push or order.load or order.output):
            return (
                "an image for several platforms needs --push or --output type=oci,dest=FILE; --load works where the "
                "engine keeps images in containerd"
            )
        return None

    def command(self, order: BuildOrder) -> str | None:
        """Return the command line of the build."""
        return shlex.join(["docker", "buildx", "build", *_options(order), str(order.context)])

    def build(self, order: BuildOrder, progress: Progress) -> BuiltImage:
        """Build, and push or write the image; without either the engine gets it."""
        output = BuildKitOutput()
        with tempfile.TemporaryDirectory(prefix="srv-") as scratch:
            file_of_id, metadata = Path(scratch) / "id", Path(scratch) / "metadata.json"
            command = ["docker", "buildx", "build", "--progress=plain", *_options(order)]
            command += ["--iidfile", str(file_of_id), "--metadata-file", str(metadata), str(order.context)]
            try:
                run(command, output.telling(progress), order.build_args)
            except ProgramFailed as error:
                raise output.failure(order.tags[0], str(error), pushes=order.push) from None
            told = read_metadata(metadata)
            image = file_of_id.read_text().strip() if file_of_id.exists() else ""
        digest = told.get("containerimage.digest", "")
        return BuiltImage(image or digest, (digest or None) if order.push else None, _size(order, image))


def _size(order: BuildOrder, image: str) -> int | None:
    """Return the image's size where the engine has it."""
    if order.push or order.output:
        return None
    try:
        return int(asked("docker", "image", "inspect", "--format", "{{.Size}}", image or order.tags[0]))
    except (ProgramFailed, ValueError):
        return None


def read_metadata(file: Path) -> dict[str, str]:
    """Return the texts among what BuildKit tells of an image; nothing where it tells nothing."""
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)}


def _options(order: BuildOrder) -> list[str]:
    """Return all options but those of files that are read afterwards."""
    options = ["--file", str(order.dockerfile)]
    options += [word for tag in order.tags for word in ("--tag", tag)]
    options += ["--platform", ",".join(order.platforms)] if order.platforms else []
    options += ["--no-cache"] if order.no_cache else []
    options += ["--pull"] if order.pull else []
    options += [word for name in order.build_args for word in ("--build-arg", argument(name, order.build_args))]
    options += [word for secret in order.secrets for word in ("--secret", secret_words(secret))]
    options += [word for name, value in order.labels.items() for word in ("--label", f"{name}={value}")]
    options += [word for text in order.cache_from for word in ("--cache-from", str(cache_of("--cache-from", text)))]
    options += [word for text in order.cache_to for word in ("--cache-to", str(cache_of("--cache-to", text)))]
    if order.sbom is not None:
        options.append("--sbom=true" if order.sbom == "true" else f"--sbom=generator={order.sbom}")
    if order.provenance is not None:
        options.append("--provenance=false" if order.provenance == "off" else f"--provenance=mode={order.provenance}")
    elif order.epoch is not None:
        options.append("--provenance=false")  # it holds the time of the build, so no two images would be alike
    return [*options, "--output", _output(order)]


def _output(order: BuildOrder) -> str:
    """Return where the image goes, in BuildKit's words; times of files are those of the order, where it has one."""
    if order.output is not None:
        words = output_of(order.output)
    else:
        words = output_of("type=registry" if order.push else "type=docker,dest=-")
        words.values.pop("dest", None)  # without one the engine gets it
    if order.epoch is not None and words.kind not in {"local", "tar"}:
        words.values.setdefault("rewrite-timestamp", "true")
    return str(words)
