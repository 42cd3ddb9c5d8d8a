"""The builders `buildah` and `podman`: programs that need no daemon, called with lists of arguments."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from srv.images import Builder, BuildOrder, BuiltImage, Progress
from srv_build.build_output import BuildOutput
from srv_build.errors import NotPushed, NotWritten
from srv_build.exports import cache_of, output_of
from srv_build.programs import ProgramFailed, argument, asked, run, secret_words

#: Where a program writes an image to a file, and how it calls that.
ARCHIVES = {"oci": "oci-archive", "docker": "docker-archive"}
FILES = ("local", "tar")
#: How Buildah since 1.41 and Podman since 5.6 call the time of an image; both read the variable of that name too.
NEWER = "--source-date-epoch"


class CliBuilder(Builder):
    """A builder that calls a program whose `build` and `push` take Buildah's arguments."""

    heeds = frozenset(
        {"--platform with several", "--pull", "--secret", "--load", "--output", "--cache-from", "--cache-to"}
    )
    reproducible = True

    def unavailable(self) -> str | None:
        """Return why the program cannot be used here: not installed, or no storage that it may write."""
        if shutil.which(self.name) is None:
            return f"{self.name} is not installed"
        try:
            asked(self.name, "images", "-q")
        except ProgramFailed as error:
            return str(error)
        return None

    def refusal(self, order: BuildOrder) -> str | None:
        """Return why it cannot: a cache that is no registry's, or a form of output that it does not write."""
        for option, texts in (("--cache-from", order.cache_from), ("--cache-to", order.cache_to)):
            for words in (cache_of(option, text) for text in texts):
                if words.kind != "registry":
                    return f"its caches are in registries, and {option} has type={words.kind}; buildx and buildctl can"
        if order.output is not None and (kind := output_of(order.output).kind) not in {*ARCHIVES, *FILES}:
            return f"it writes type=oci, type=docker, type=tar or a folder, and --output has type={kind}"
        return None

    def command(self, order: BuildOrder) -> str | None:
        """Return the command lines of the build and of what comes after it."""
        build = [self.name, "build", *self._options(order), str(order.context)]
        image = order.tags[0]
        after = [self._push(order, tag) for tag in order.tags] if order.push else []
        after += [self._archive(order, image)] if _archives(order) else []
        return "\n".join(map(shlex.join, (build, *after)))

    def build(self, order: BuildOrder, progress: Progress) -> BuiltImage:
        """Build in Docker's format, because the other has no health check; in layers, so that steps are kept."""
        output = BuildOutput()
        digest = None
        with tempfile.TemporaryDirectory(prefix="srv-") as scratch:
            file_of_id, file_of_digest = Path(scratch) / "id", Path(scratch) / "digest"
            command = [self.name, "build", *self._options(order), str(order.context)]
            if len(order.platforms) < 2:
                command[2:2] = ["--iidfile", str(file_of_id)]
            try:
                if len(order.platforms) > 1:
                    self._forget(order.tags)
                run(command, output.telling(progress), order.build_args)
                for tag in order.tags[1:] if len(order.platforms) > 1 else ():
                    asked(self.name, "tag", order.tags[0], tag)
            except ProgramFailed as error:
                raise output.failure(order.tags[0], str(error)) from None
            image = file_of_id.read_text().strip() if file_of_id.exists() else self._id(order.tags[0])
            for tag in order.tags if order.push else ():
                file_of_digest.unlink(missing_ok=True)
                try:
                    run(self._push(order, tag, "--digestfile", str(file_of_digest)), BuildOutput().telling(progress))
                    told = file_of_digest.read_text().strip() if file_of_digest.exists() else ""
                    if not told:  # Buildah 1.28 ends with 0 then, though its registry refused the list of platforms
                        run(self._push(order, tag), BuildOutput().telling(progress))
                except ProgramFailed as error:
                    raise NotPushed(tag, str(error)) from None
                digest = digest or told or None
        if _archives(order):
            try:
                run(self._archive(order, order.tags[0]), BuildOutput().telling(progress))
            except ProgramFailed as error:
                raise NotWritten(order.tags[0], str(order.output), str(error)) from None
        return BuiltImage(image, digest, self._size(order.tags[0]))

    def _options(self, order: BuildOrder) -> list[str]:
        options = ["--format", "docker", "--layers", "--file", str(order.dockerfile)]
        if len(order.platforms) > 1:
            options += ["--manifest", order.tags[0]]
        else:
            options += [word for tag in order.tags for word in ("--tag", tag)]
        options += ["--platform", ",".join(order.platforms)] if order.platforms else []
        options += ["--no-cache"] if order.no_cache else []
        options += ["--pull=always"] if order.pull else []
        options += [word for name in order.build_args for word in ("--build-arg", argument(name, order.build_args))]
        options += [word for secret in order.secrets for word in ("--secret", secret_words(secret))]
        options += [word for name, value in order.labels.items() for word in ("--label", f"{name}={value}")]
        options += [word for text in order.cache_from for word in ("--cache-from", _reference("--cache-from", text))]
        options += [word for text in order.cache_to for word in ("--cache-to", _reference("--cache-to", text))]
        if order.output is not None and output_of(order.output).kind in FILES:
            options += ["--output", str(output_of(order.output))]
        if order.epoch is not None:
            options += self._times(order.epoch)
        return options

    def _times(self, epoch: int) -> list[str]:
        """Return the options that set the times of the image and of its files, in the words of this version."""
        try:
            is_newer = NEWER in asked(self.name, "build", "--help")
        except ProgramFailed:
            is_newer = False
        return [NEWER, str(epoch), "--rewrite-timestamp"] if is_newer else ["--timestamp", str(epoch)]

    def _push(self, order: BuildOrder, tag: str, *options: str) -> list[str]:
        if len(order.platforms) > 1:
            return [self.name, "manifest", "push", "--all", *options, tag, f"docker://{tag}"]
        return [self.name, "push", *options, tag]

    def _archive(self, order: BuildOrder, image: str) -> list[str]:
        words = output_of(str(order.output))
        place = f"{ARCHIVES[words.kind]}:{words.values['dest']}:{image}"
        if len(order.platforms) > 1:
            return [self.name, "manifest", "push", "--all", image, place]
        return [self.name, "push", image, place]

    def _forget(self, tags: Iterable[str]) -> None:
        """Remove the names of earlier builds, because a list of platforms would otherwise get longer with each build."""
        for tag in tags:
            try:
                asked(self.name, "manifest", "rm", tag)
            except ProgramFailed:
                with suppress(ProgramFailed):  # there is none
                    asked(self.name, "untag" if self.name == "podman" else "rmi", tag)

    def _id(self, image: str) -> str:
        """Return the id of what is there under a name: for several platforms that of their list."""
        try:
            return asked(self.name, "images", "--quiet", "--no-trunc", image).strip()
        except ProgramFailed:
            return ""

    def _size(self, image: str) -> int | None:
        """Return the image's size in bytes."""
        form = ["image", "inspect", "--format", "{{.Size}}"] if self.name == "podman" else []
        if not form:
            return None
        try:
            return int(asked(self.name, *form, image))
        except (ProgramFailed, ValueError):
            return None


class Buildah(CliBuilder):
    """The program buildah."""

    name = "buildah"


class Podman(CliBuilder):
    """The program podman; its service is an engine for the builder `docker` too."""

    name = "podman"


def _reference(option: str, text: str) -> str:
    return cache_of(option, text).values["ref"]


def _archives(order: BuildOrder) -> bool:
    return order.output is not None and output_of(order.output).kind in ARCHIVES
