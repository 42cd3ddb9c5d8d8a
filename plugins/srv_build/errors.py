"""Errors before, while and after an image is built, each with what to do about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from srv.errors import SrvError, closed, listed, nearest, quoted
from srv.images import BuildFailed


class BadTag(SrvError):
    """The image's name is none that a registry would take."""

    def __init__(self, tag: str) -> None:
        super().__init__(
            f"{quoted(tag)} is no name for an image. It is [REGISTRY/]NAME[:TAG]: the name in small letters and digits "
            "with single . _ - / between them, the tag up to 128 letters, digits and . _ -"
        )


class BadWords(SrvError):
    """The value of an option has not Docker's form."""

    def __init__(self, option: str, text: str, reason: str) -> None:
        form = {
            "--output": "type=oci,dest=FILE, type=docker,dest=FILE, or a folder for the image's files",
            "--cache-from": "a name in a registry, type=registry,ref=NAME, type=local,src=FOLDER or type=gha",
            "--cache-to": "type=registry,ref=NAME, type=local,dest=FOLDER, type=inline or type=gha",
        }[option]
        super().__init__(f"{option} {quoted(text)}: {reason}. It takes {form}.")


class BadEpoch(SrvError):
    """SOURCE_DATE_EPOCH is no time."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"SOURCE_DATE_EPOCH is {quoted(text)}, which is no time in seconds since 1970. Take that of the last commit, "
            "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or unset it."
        )


class CannotDo(SrvError):
    """The chosen builder does not know an option, or what it asks for."""

    def __init__(self, name: str, options: Iterable[str], able: Iterable[str]) -> None:
        asked, others = listed(options), listed(able)
        instead = f"{others} can: choose one with --builder." if others != "none" else "No builder here can."
        super().__init__(f"The builder {name} cannot do {asked}. {instead}")


class Refused(SrvError):
    """The chosen builder cannot do what an option asks for."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The builder {name} cannot do this: {closed(reason)}")


class UnknownBuilder(SrvError):
    """No installed plugin brings a builder of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = list(known)
        there = f"there are {', '.join(names)}" if names else "no plugin that is in use brings one"
        super().__init__(f"No builder is called {quoted(name)}; {there}.{nearest(name, names)}")


class NoBuilder(SrvError):
    """Every builder that was asked has a reason why it cannot build here."""

    def __init__(self, reasons: Mapping[str, str], folder: str) -> None:
        reasons_said = "".join(f" {name}: {closed(reason)}" for name, reason in reasons.items())
        super().__init__(
            f"No builder can be used here.{reasons_said} Have one of them work, or write the Dockerfile for a builder elsewhere: "
            f"srv dockerfile {shlex.quote(folder)}"
        )


def denied(place: str) -> str:
    """Return that an engine is there and may not be used, with the ways to use it."""
    return (
        f"an engine is there and you may not use {place} (Permission denied): become a member of the group docker (sudo "
        "usermod -aG docker $USER, and log in anew), call srv with sudo, or name a rootless engine's socket in DOCKER_HOST"
    )


class NotPushed(SrvError):
    """The image was built, and its registry refused it or did not answer."""

    def __init__(self, tag: str, reason: str) -> None:
        advice = next(
            (advice for pattern, advice in PUSH_ADVICE.items() if re.search(pattern, reason, re.IGNORECASE)), PUSH
        )
        super().__init__(f"{tag} was built and not pushed: {closed(reason)} {advice}")


class NotWritten(SrvError):
    """The image was built, and could not be written to a file."""

    def __init__(self, tag: str, output: str, reason: str) -> None:
        super().__init__(
            f"{tag} was built and not written to {output}: {closed(reason)} See that the folder is there, that the file "
            "is not, and that there is room for it"
        )


#: What is said where nothing more is known.
PUSH = "See that the tag begins with the registry's address, and log in with the builder's own login command."
#: What registries and builders say about a push, and what a person can do; the first that fits.
PUSH_ADVICE: Mapping[str, str] = {
    r"unauthorized|authentication required|denied|no basic auth|forbidden": "Log in with the builder's own login command, "
    "as somebody who may write there, and see that the tag begins with the registry's address.",
    r"server gave HTTP response to HTTPS": "The registry speaks no TLS: name it among the builder's insecure registries.",
    r"x509|certificate": "Give the registry's certificate to the builder.",
    r"connection refused|no such host|i/o timeout|connection reset|\bEOF\b|50[0-9]": "See that the registry runs and is in "
    "reach, and push again: what was built is kept.",
}
#: What builders say about a failure, and what a person can do about it; the first that fits.
ADVICE: Mapping[str, str] = {
    r"no space left on device|disk quota exceeded": "Make room where the builder keeps its images, for example with "
    "'docker system prune', 'buildah prune' or 'podman system prune', and build again.",
    r"buildkit-syft-scanner": "See that the image of the scanner, which --sbom needs, is in reach, or name another one with "
    "--sbom-scanner.",
    r"pull access denied|manifest.*(unknown|not found)|no such host|initializing source|repository.*not found|"
    r"No such image|image not known|name unknown|toomanyrequests|did not resolve": "See that the base image's name is right and that "
    "its registry is in reach, or name another one with --base-image.",
    r"no match(ing manifest)? for (platform|linux)|exec format error|does not match the specified platform|"
    r"no image found in .* for architecture|exec container process .*: Exec format": "Build on a machine of that "
    "platform, or install QEMU's handlers for foreign programs.",
    r"Cache export is not supported|Attestation(s are| is) not supported|Multi-platform build is not supported|"
    r"exporter is not supported|does not currently support exporting manifest lists|OCI exporter": "The engine's own "
    "BuildKit cannot do that: make another with 'docker buildx create --use', or have the engine keep images in containerd.",
    r"connection to the engine was lost|the engine ended the build|no engine answers|Cannot connect to the Docker daemon|closing transport|"
    r"error reading from server|connection refused": "See that the engine runs, and build again; the steps that were "
    "ended are kept.",
    r"was killed by": "Build again when there is memory for it; the steps that were ended are kept.",
    r"non-zero code|exit(ed with| status| code)": "Mend what the lines above name, and build again; the steps before "
    "are kept.",
}


#: What pip prints in such a step where it must compile a requirement and cannot, and what to do about that.
NO_COMPILER = re.compile(
    r"(command|unable to execute) '?\S*(gcc|g\+\+|cc|c\+\+)'?( failed|:)|CMAKE_C(XX)?_COMPILER|Unknown compiler"
)
COMPILER = (
    "A requirement has no wheel for this image, and the build has no compiler. Ask for a version that has one, or "
    "write the lines gcc, g++ and libc6-dev into apt.txt."
)
#: How builders wrap the reason of a step's failure, which the sentence names already.
WRAPPED = re.compile(r'building at STEP ".*?[^\\]": |creating build container: |error building at.*?": ')
ENDED = re.compile(r"(?:returned a non-zero code: |exit status |exit code:? )(?P<code>\d+)$")


def failed(tag: str, instruction: str, output: Iterable[str], reason: str) -> BuildFailed:
    """Return the failure of a build in one sentence, with what to do if that is known."""
    step = f" at the step {quoted(instruction)}" if instruction else ""
    output = tuple(output)
    advice = next((f" {advice}" for pattern, advice in ADVICE.items() if re.search(pattern, reason)), "")
    if any(NO_COMPILER.search(line) for line in output):
        advice = f" {COMPILER}"
    ended = ENDED.search(reason)
    plain = f"it ended with {ended['code']}" if ended else WRAPPED.sub("", reason)
    return BuildFailed(f"The build of {tag} failed{step}: {closed(plain)}{advice}", output)
