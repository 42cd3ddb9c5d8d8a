"""Adds to the plan what locks and projects of the folder say, and tells what is there and not used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

from packaging.utils import canonicalize_name

from srv.images import ImagePlan
from srv_dockerfile.conda import FILES as CONDA_FILES
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.environment import project
from srv_dockerfile.environment.locked import Locked
from srv_dockerfile.environment.package import project_wheel
from srv_dockerfile.environment.passwords import check_passwords, variables
from srv_dockerfile.environment.platforms import is_for
from srv_dockerfile.environment.project import Project
from srv_dockerfile.environment.pythons import minor_of_image
from srv_dockerfile.environment.reading import LOCKS, Environment
from srv_dockerfile.files import OURS
from srv_dockerfile.markers import python_of
from srv_dockerfile.requirements import Named, read_lines
from srv_dockerfile.wheels import version_of, wheel_of

#: What is made of a lock or a project, where builders find it.
GENERATED = f"{OURS}/requirements.txt"
#: Files that look like an environment and are none to srv, with what to do about each.
_UNREAD = {
    "Pipfile": ("Pipfile.lock", "run 'pipenv lock'"),
    "pdm.lock": ("pylock.toml", "run 'pdm export -f pylock'"),
    "pixi.lock": ("", "write an environment.yaml, as 'pixi workspace export conda-environment' does"),
    "pixi.toml": ("pixi.lock", "write an environment.yaml, as 'pixi workspace export conda-environment' does"),
    "conda-lock.yml": ("", "write an environment.yaml"),
    "requirements.in": ("", "compile it to a requirements.txt"),
    "setup.py": ("pyproject.toml", "name what it needs in a requirements.txt or a pyproject.toml"),
}


def add_locked(plan: ImagePlan, named: Named, environment: Environment, wheels: Path) -> None:
    """Add what a lock or a project says to the plan, as a requirements file that is made of it, and to what is named."""
    lock = environment.lock
    plan.notes += lock.notes
    lock.packages = [_as_the_image_gets_it(plan, each, wheels) for each in lock.packages]
    text = lock.text(f"Made by srv of {environment.file}; change that, and make this anew.")
    check_passwords(environment.file, "\n".join([text, *lock.rest()]))
    read_lines(plan.folder, [*text.splitlines(), *lock.rest()], PurePath(environment.file).name, named)
    for package in lock.packages:
        if package.source is not None and package.source.startswith("./"):
            named.add(package.name)  # which its line does not say
    plan.generated[GENERATED] = text
    plan.requirements_files.append(GENERATED)
    plan.requirements += lock.rest()


def add_package(plan: ImagePlan, named: Named, found: Project, wheels: Path) -> None:
    """Add the project itself, if its pyproject.toml makes a package of it. Raises WheelFailed."""
    wheel = project_wheel(found, plan.folder, wheels)
    if wheel is not None:
        name = canonicalize_name(wheel.name.partition("-")[0])
        plan.wheels.append(wheel)
        plan.requirements.append(f"{name}=={version_of(wheel)}")
        named.add(name)


def choose_python(
    plan: ImagePlan, found: Project | None, environment: Environment | None, *, base_is_given: bool
) -> None:
    """Let the image start from a Python that the folder's files ask for; if the base is given, tell that it is another."""
    requires = ("", "") if found is None else (found.requires_python, project.FILE)
    if environment is not None and environment.lock.requires_python:
        requires = (environment.lock.requires_python, environment.file)
    if not base_is_given:
        plan.base_image = f"python:3.{minor_of_image(plan.folder, requires, plan.notes)}-slim"
        return
    major, _, minor = python_of(plan.base_image).partition(".")
    if major == "3" and not any(is_for(requires[0], (int(minor), micro)) for micro in (0, 99)):
        plan.notes.append(f"{requires[1]} asks for Python {requires[0]}, and {plan.base_image} has another one.")


def variables_wanted(plan: ImagePlan) -> Iterator[str]:
    """Yield a sentence for each variable that pip must be given in a build. Raises PasswordInFile for a password."""
    ignore = Ignore(plan.ignore)
    read = [*([plan.conda_file] if plan.conda_file else []), *plan.requirements_files, *plan.requirements_needs]
    for name in dict.fromkeys((*read, project.FILE, *LOCKS, "Pipfile")):
        path = plan.folder / name
        if name in plan.generated or path.suffix == ".whl" or not path.is_file() or ignore.leaves_out(name):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        check_passwords(name, text)
        for variable in sorted(set(variables(text) if name in read else ()) - {*plan.secrets}):
            yield (
                f"{name} has ${{{variable}}}, which pip takes from a variable of the build: "
                f"--secret id={variable},env={variable}."
            )


def _as_the_image_gets_it(plan: ImagePlan, package: Locked, wheels: Path) -> Locked:
    """Return the package, as a wheel of this machine where it lies outside of the folder."""
    if package.source is None or not package.source.startswith((".", "/")):
        return package
    path = (plan.folder / package.source).resolve()
    if path.is_relative_to(plan.folder.resolve()):
        return replace(package, source=f"./{path.relative_to(plan.folder.resolve()).as_posix()}")
    plan.wheels.append(wheel_of(package.name, {"url": path.as_uri()}, wheels))
    return replace(package, source=None, version=version_of(plan.wheels[-1]), hashes=())


def not_used(plan: ImagePlan, found: Project | None, environment: Environment | None) -> Iterator[str]:
    """Yield a sentence for each file that says what the environment would be, and does not count."""
    folder, others = plan.folder, [*([plan.conda_file] if plan.conda_file else []), *plan.requirements_files]
    used = [environment.file if name == GENERATED and environment is not None else name for name in others]
    projects = [project.FILE] if found is not None and found.is_environment else []
    if used and PurePath(used[-1]).name in LOCKS:
        projects = []  # the lock is made of it
    for file in (*LOCKS, *projects):
        if file not in used and (folder / file).is_file():
            yield f"{file} is not used, because {used[0]} says what the environment is."
    for file, (instead, advice) in _UNREAD.items():
        if not used and not (instead and (folder / instead).exists()) and (folder / file).is_file():
            yield f"{file} is not used, because srv does not read it: {advice}."
    for path in sorted([*folder.glob("environment*.y*ml"), *folder.glob("requirements*.txt")]):
        if not used and path.name not in CONDA_FILES:
            name = "environment.yaml" if path.suffix != ".txt" else "requirements.txt"
            yield f"{path.name} is not used, because srv reads {name}: name it so, or make a {name} that includes it."
