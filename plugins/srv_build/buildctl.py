"""The builder `buildctl`: a BuildKit daemon's own client, as it runs in clusters and CI without Docker."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path

from srv.images import Builder, BuildOrder, BuiltImage, Progress
from srv_build.buildkit_output import BuildKitOutput
from srv_build.buildx import BUILDKIT, ONE_EXPORT, read_metadata
from srv_build.exports import Words, cache_of, output_of
from srv_build.programs import ProgramFailed, asked, run, secret_words

FRONTEND = ("--frontend", "dockerfile.v0")


class Buildctl(Builder):
    """A builder that calls `buildctl build`; BUILDKIT_HOST says where the daemon is."""

    name = "buildctl"
    heeds = BUILDKIT - {"--load"}
    reproducible = True

    def unavailable(self) -> str | None:
        """Return why it cannot be used: not installed, or no daemon that answers."""
        if shutil.which("buildctl") is None:
            return "buildctl is not installed"
        try:
            asked("buildctl", "--timeout", "5", "debug", "workers")
        except ProgramFailed as error:
            place = os.environ.get("BUILDKIT_HOST", "the default socket")
            return f"no buildkitd answers at {place} ({error})"
        return None

    def refusal(self, order: BuildOrder) -> str | None:
        """Return why it cannot: buildkitd keeps no images, so it needs one place to send this one to."""
        if order.push and order.output is not None:
            return ONE_EXPORT
        if not (order.push or order.output is not None):
            return "buildkitd keeps no images, so add --push, or --output type=oci,dest=FILE"
        return None

    def command(self, order: BuildOrder) -> str | None:
        """Return the command line of the build."""
        return shlex.join(["buildctl", "build", *_options(order)])

    def build(self, order: BuildOrder, progress: Progress) -> BuiltImage:
        """Build, and push or write the image."""
        output = BuildKitOutput()
        with tempfile.TemporaryDirectory(prefix="srv-") as scratch:
            metadata = Path(scratch) / "metadata.json"
            command = ["buildctl", "build", "--progress=plain", *_options(order), "--metadata-file", str(metadata)]
            try:
                run(command, output.telling(progress))
            except ProgramFailed as error:
                raise output.failure(order.tags[0], str(error), pushes=order.push) from None
            told = read_metadata(metadata)
        digest = told.get("containerimage.digest", "")
        image = told.get("containerimage.config.digest", "") if len(order.platforms) < 2 else ""
        return BuiltImage(image or digest, (digest or None) if order.push else None)


def _options(order: BuildOrder) -> list[str]:
    """Return all options but those of files that are read afterwards."""
    options = [*FRONTEND, "--local", f"context={order.context}", "--local", f"dockerfile={order.dockerfile.parent}"]
    opts = {"filename": order.dockerfile.name}
    if order.platforms:
        opts["platform"] = ",".join(order.platforms)
    if order.pull:
        opts["image-resolve-mode"] = "pull"
    opts |= {f"build-arg:{name}": value for name, value in order.build_args.items()}
    opts |= {f"label:{name}": value for name, value in order.labels.items()}
    if order.sbom is not None:
        opts["attest:sbom"] = "" if order.sbom == "true" else f"generator={order.sbom}"
    if order.provenance in {"min", "max"}:
        opts["attest:provenance"] = f"mode={order.provenance}"
    options += [word for secret in order.secrets for word in ("--secret", secret_words(secret))]
    options += ["--no-cache"] if order.no_cache else []
    options += [word for name, value in opts.items() for word in ("--opt", f"{name}={value}")]
    options += [word for text in order.cache_from for word in ("--import-cache", str(cache_of("--cache-from", text)))]
    options += [word for text in order.cache_to for word in ("--export-cache", str(cache_of("--cache-to", text)))]
    return [*options, "--output", str(_output(order))]


def _output(order: BuildOrder) -> Words:
    """Return where the image goes, with its names."""
    words = Words("image", {"push": "true"}) if order.output is None else output_of(order.output)
    if words.kind in {"local", "tar"}:
        return words
    names = ",".join(order.tags)
    words.values.setdefault("name", names)
    if order.epoch is not None:
        words.values.setdefault("rewrite-timestamp", "true")
    return words
