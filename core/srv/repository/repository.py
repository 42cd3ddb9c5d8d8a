"""The models of the folders that are served, read anew whenever they are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from srv.modelsettings import ModelSettings
from srv.repository.errors import CodeNotAllowed, ModelTwice, NoModelName, NoVersionName
from srv.repository.places import Place, Survey
from srv.repository.recognition import Recognition
from srv.repository.roles import exists, role_of, uri_of
from srv.settings.checks import Leaves
from srv.settings.errors import SettingError
from srv.settings.models import FILE, model_settings, read_model_document, with_defaults
from srv.settings.schemas import is_model_name, is_version
from srv.settings.server import ModelDefaults, ServerSettings
from srv.versions import version_key

_RUNTIME, _IMPLEMENTATION = ("runtime",), ("implementation",)
_URI = ("parameters", "uri")
_ALLOW_PICKLE = ("allow_pickle",)
_LIKE_A_VERSION = re.compile(r"[vV]?[0-9]")


class FailedModel(msgspec.Struct, frozen=True):
    """A model whose settings are broken; the others can be served all the same."""

    name: str
    version: str | None
    source: str
    #: The whole sentence, for the terminal and the log.
    error: SettingError
    #: The sentence for clients: no values of settings, no path outside the repository.
    reason: str


class Found(msgspec.Struct, frozen=True):
    """What the folders hold now: the models in order of their names, those that failed, and what to tell people."""

    models: tuple[ModelSettings, ...]
    failures: tuple[FailedModel, ...]
    #: One line: whether the root's model-settings.json is a model or gives defaults.
    explanation: str
    #: What was passed over and might have been meant to be a model.
    notes: tuple[str, ...] = ()


class Repository:
    """The folder that is served and `models_dir`, if there is one. It keeps nothing between two calls."""

    def __init__(
        self,
        settings: ServerSettings,
        recognised: Mapping[str, tuple[str, bool]],
        contested: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._folder = settings.folder
        self._root_name = settings.root_name
        self._models_dir = settings.models_dir
        self._model_defaults = settings.model_defaults
        self._recognition = Recognition(recognised, contested or {})

    def models(self) -> Found:
        """Everything that the folders hold. Raises a SettingError where the root's own file cannot be understood.

        A model whose settings are broken is one of the failures, and so is a version that two places bring.
        """
        surveys = self._surveys()
        findings = _Findings(path for survey in surveys for path in _claims(survey))
        findings.notes += [note for survey in surveys for note in survey.notes]
        findings.notes += self._missing_models_dir()
        defaults = self._model_defaults
        for survey in surveys:
            role = role_of(survey, alone=self._models_dir is None or survey is not surveys[0])
            if survey is surveys[0] or survey.head is not None:
                findings.explanations.append(role.explanation)
            if survey.head is not None and role.is_model:
                findings.add(survey.head, self._read, defaults)
            elif survey.head is not None and survey.head.document is not None:
                defaults = with_defaults(defaults, read_model_document(survey.head.document))
            for place in survey.others:
                if _is_part_of_a_model(place, survey):
                    findings.notes.append(_as_part(place))
                else:
                    findings.add(place, self._read, defaults)
        return findings.found()

    def explanation(self) -> str:
        """One line: whether the root's model-settings.json is a model or gives defaults."""
        return role_of(self._surveys()[0], alone=self._models_dir is None).explanation

    def _surveys(self) -> list[Survey]:
        names = self._recognition.names()
        root = self._folder.resolve()
        if self._models_dir is None or not self._models_dir.is_dir() or self._models_dir.resolve() == root:
            return [Survey(self._folder, names, called=self._root_name)]
        further = self._models_dir.resolve()
        own = Survey(self._folder, names, skip={further}, called=self._root_name)
        return [own, Survey(self._models_dir, names, skip={root})]

    def _missing_models_dir(self) -> list[str]:
        if self._models_dir is None or self._models_dir.is_dir():
            return []
        return [f"The models folder {self._models_dir} is not there; no models come from it."]

    def _read(self, place: Place, defaults: ModelDefaults) -> ModelSettings:
        if place.error is not None:
            raise place.error
        own: Leaves = {} if place.document is None else read_model_document(place.document)
        leaves = with_defaults(defaults, own)
        if place.is_bare or not (_RUNTIME in leaves or _IMPLEMENTATION in leaves):
            leaves = self._recognised(place, leaves)
        return _named(place, own, leaves)

    def _recognised(self, place: Place, leaves: Leaves) -> Leaves:
        """The settings with the runtime of the file that is there, and that file as the uri: no other is loaded."""
        uri = leaves.get(_URI)
        files = {name: name for name in place.files} if uri is None else self._files_at(place.folder, uri)
        file, runtime = self._recognition.choose(
            files, place=_spoken(place), code_allowed=leaves.get(_ALLOW_PICKLE, self._is_trusted(place))
        )
        chosen = {path: value for path, value in leaves.items() if path not in (_RUNTIME, _IMPLEMENTATION)}
        chosen |= {_RUNTIME: runtime, _URI: files[file]}
        return chosen | {_ALLOW_PICKLE: True} if self._recognition.is_code(file) else chosen

    def _files_at(self, folder: Path, uri: str) -> dict[str, str]:
        """The well-known files that a uri leads to, each with the uri that leads to it alone."""
        path = folder / uri
        if path.is_dir():
            return {name: f"{uri.rstrip('/')}/{name}" for name in self._recognition.names() if (path / name).exists()}
        return {path.name: uri} if path.is_file() else {}

    def _is_trusted(self, place: Place) -> bool:
        """Whether it is the folder that the command line names: who names it means what is in it."""
        return place.depth == 0 and place.root == self._folder


class _Findings:
    """What is collected on the way through the folders."""

    def __init__(self, claimed: Iterable[Path]) -> None:
        self._claimed = list(claimed)
        self._outcomes: list[tuple[Place, ModelSettings | FailedModel]] = []
        self.notes: list[str] = []
        self.explanations: list[str] = []

    def add(self, place: Place, read: Callable[[Place, ModelDefaults], ModelSettings], defaults: ModelDefaults) -> None:
        """Read a place's model and keep what comes of it."""
        if place.is_bare and self._belongs_to_another(place):
            return
        try:
            self._outcomes.append((place, read(place, defaults)))
        except CodeNotAllowed as error:
            if not place.is_bare:
                self._outcomes.append((place, _failed(place, error)))
            self.notes += [str(error)] if place.is_bare else []
        except SettingError as error:
            self._outcomes.append((place, _failed(place, error)))

    def found(self) -> Found:
        """The models and failures in order; what two places bring is a failure."""
        outcomes: dict[tuple[str, str | None], list[tuple[Place, ModelSettings | FailedModel]]] = {}
        for place, outcome in self._outcomes:
            outcomes.setdefault((outcome.name, outcome.version), []).append((place, outcome))
        models: list[ModelSettings] = []
        failures: list[FailedModel] = []
        for (name, version), same in sorted(outcomes.items(), key=_by_name_and_version):
            outcome = same[0][1] if len(same) == 1 else _twice(name, version, [place for place, _ in same])
            if isinstance(outcome, ModelSettings):
                models.append(outcome)
            else:
                failures.append(outcome)
        explanation, *others = self.explanations
        return Found(tuple(models), tuple(failures), explanation, (*self.notes, *others))

    def _belongs_to_another(self, place: Place) -> bool:
        """Whether the file is the artifact that a model's settings name, and so no model of its own."""
        folder = place.folder.resolve()
        return any(
            path.parent == folder if path.is_file() else path in (folder, *folder.parents) for path in self._claimed
        )


def _claims(survey: Survey) -> Iterator[Path]:
    """The files and folders that models' settings name as theirs, other than their own folder or one around it."""
    for place in survey.places():
        uri = None if place.document is None else uri_of(place.document)
        if uri is None:
            continue
        folder = place.folder.resolve()
        if exists(place.folder / uri) and (path := (place.folder / uri).resolve()) not in (folder, *folder.parents):
            yield path


def _is_part_of_a_model(place: Place, survey: Survey) -> bool:
    """Whether a folder with a well-known file is rather a part of the model around it than a version of it.

    A version would take the place of the model around it, which has none, so its name must look like a version's.
    """
    if not place.is_bare or place.depth != 2 or _LIKE_A_VERSION.match(place.folder.name):
        return False
    return any(other.relative == str(Path(place.relative).parent) for other in survey.others)


def _as_part(place: Place) -> str:
    return (
        f"{place.folder} is a part of the model around it and no version, for its name does not begin with a number. "
        f"To serve {place.files[0]} as a version, give it a model-settings.json."
    )


def _named(place: Place, own: Leaves, leaves: Leaves) -> ModelSettings:
    """The settings with the names that the place gives where they give none themselves."""
    folder = place.folder.absolute()
    name, version = place.names()
    if place.depth == 2 and own.get(("name",)) == folder.name:
        version = None  # the folder is called as the model is, so it is the model's and no version's
    settings = model_settings(leaves, name=name, version=version, folder=folder, source=place.source)
    if not is_model_name(settings.name):
        raise NoModelName(_spoken(place), settings.name)
    if settings.version is not None and not is_version(settings.version):
        raise NoVersionName(_spoken(place), settings.version)
    return settings


def _failed(place: Place, error: SettingError) -> FailedModel:
    name, version = place.names()
    values = {} if place.document is None else place.document.values
    said, parameters = values.get("name"), values.get("parameters")
    if isinstance(said, str) and is_model_name(said):
        name, version = said, None if said == place.folder.name else version
    if isinstance(parameters, Mapping) and isinstance(parameters.get("version"), str):
        version = parameters["version"]
    return FailedModel(name, version, place.source, error, error.public.replace(f"{place.root}/", ""))


def _twice(name: str, version: str | None, places: list[Place]) -> FailedModel:
    title = f"Model '{name}'" if version is None else f"Version '{version}' of model '{name}'"
    error = ModelTwice(title, [_spoken(place) for place in places])
    return FailedModel(name, version, " and ".join(place.source for place in places), error, error.public)


def _spoken(place: Place) -> str:
    """How a person on the terminal finds the place."""
    return str(place.folder) if place.is_bare else str(place.folder / FILE)


def _by_name_and_version(entry: tuple[tuple[str, str | None], object]) -> tuple[str, tuple[object, ...]]:
    (name, version), _ = entry
    return name, () if version is None else version_key(version)
