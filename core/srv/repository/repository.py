"""The repository: the models in the folders that are served, read again at each call."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from srv.discovery import Plugins
from srv.discovery.plugin import CODE, FOLDER
from srv.discovery.recognisers import Recognisers
from srv.model_settings import ModelSettings
from srv.repository.defaults import Defaults
from srv.repository.errors import CodeNotAllowed, ModelTwice, NoModelName, NoVersionName
from srv.repository.foreign_classes import ForeignClasses
from srv.repository.part_notes import as_part, as_unknown_part
from srv.repository.recognition import Recognition, Refusal, nobody_refuses
from srv.repository.root_role import Role, exists, role_of, uri_of
from srv.repository.scan import ModelFolder, Scan
from srv.repository.version_order import told, version_key
from srv.settings.checks import Leaves
from srv.settings.dialect import ENVIRONMENT, PLUGIN, Dialect, notes_on_models
from srv.settings.documents import Document
from srv.settings.environment import DEFAULT_PREFIX
from srv.settings.errors import SettingError
from srv.settings.models import FILE, model_settings, read_model_document, with_defaults
from srv.settings.schemas import is_model_name, is_version
from srv.settings.server import ModelDefaults, ServerSettings
from srv.uris import name_of, scheme_of

_RUNTIME, _IMPLEMENTATION, _CANDIDATES = ("runtime",), ("implementation",), ("candidates",)
_URI = ("parameters", "uri")
_EXTRA = ("parameters", "extra")
_ALLOW_PICKLE = ("allow_pickle",)
_LIKE_A_VERSION = re.compile(r"[vV]?[0-9]")
_NUMBER = re.compile(r"[vV]?[0-9]+(\.[0-9]+)*")


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
    """Content of the folders: the models in order of their names, the failures, and notes for people."""

    models: tuple[ModelSettings, ...]
    failures: tuple[FailedModel, ...]
    #: One line: whether the root's model-settings.json is a model or gives defaults.
    explanation: str
    #: What was passed over and might have been meant to be a model.
    notes: tuple[str, ...] = ()
    #: What the served folder's own file gives to the other models, as the settings of a model; None where it gives nothing.
    defaults: ModelSettings | None = None


class Repository:
    """The folder that is served, and `models_dir` if there is one. Nothing is cached between two calls."""

    def __init__(
        self,
        settings: ServerSettings,
        recognised: Mapping[str, Sequence[str]],
        refusal: Refusal = nobody_refuses,
        *,
        code: Collection[str] = (),
        whole: Collection[str] = (),
        foreign: ForeignClasses | None = None,
        dialect: Dialect | None = None,
    ) -> None:
        """Read models below these folders; `recognised` are well-known files with their runtimes, all as Recognition has it."""
        self._folder = settings.folder
        self._root_name = settings.root_name
        self._models_dir = settings.models_dir
        #: The cache of artifacts, which may be in a folder of models and holds none.
        self._cache = frozenset() if settings.cache_dir is None else frozenset({settings.cache_dir.resolve()})
        # An image names a folder that may be mounted, and says nothing of whether one is.
        self._may_be_missing = settings.origin("models_dir").startswith(DEFAULT_PREFIX)
        self._follow_links = settings.follow_links
        # Absolute from the start, links unresolved, because a model may change the current directory.
        self._root = settings.folder.absolute()
        self._further_root = None if settings.models_dir is None else settings.models_dir.absolute()
        self._model_defaults = settings.model_defaults
        self._environment_model = settings.environment_model
        self._dialect = dialect or Dialect(settings.dialect)
        self._foreign = foreign or ForeignClasses()
        self._recognition = Recognition(recognised, refusal, code, whole)

    @classmethod
    def of(cls, settings: ServerSettings, plugins: Plugins) -> Repository:
        """Return the repository of a server with these plugins."""
        return cls(
            settings,
            plugins.recognised_files(),
            Recognisers(plugins).refusal,
            code=plugins.marked_files(CODE),
            whole=plugins.marked_files(FOLDER),
            foreign=ForeignClasses.of(settings, plugins),
            dialect=Dialect(settings.dialect, installed=PLUGIN in plugins.sections()),
        )

    def models(self) -> Found:
        """Return all models in the folders. Raises a SettingError where the root's own file cannot be read.

        A model whose settings are broken is one of the failures, and so is a version that two places bring.
        """
        scans = self._scans()
        findings = _Findings(path for scan in scans for path in _claims(scan))
        findings.notes += [note for scan in scans for note in scan.notes]
        findings.notes += notes_on_models(place.document for scan in scans for place in scan.places() if place.document)
        defaults = said_by_operator = Defaults(self._model_defaults, self._root)
        given: ModelSettings | None = None
        for scan in scans:
            role = self._role(scan, scans)
            if scan is scans[0] or scan.head is not None:
                findings.explanations.append(role.explanation)
            if scan.head is not None and role.is_model:
                findings.add(scan.head, partial(self._read, said_by_operator=said_by_operator), defaults)
            elif scan.head is not None and scan.head.document is not None:
                defaults = defaults.with_document(scan.head.document, scan.root)
                if scan is scans[0]:
                    said_by_operator = defaults
                    given = defaults.as_model(scan.root)
            for place in scan.others:
                inside = _is_in_a_model(place, scan, role)
                if inside and self._is_described(place, scan):
                    continue
                if inside and not _is_called_as_a_version(place):
                    findings.notes.append(as_part(place))
                elif inside and not self._recognition.is_taken({name: place.folder / name for name in place.files}):
                    findings.notes.append(as_unknown_part(place))
                else:
                    findings.add(place, partial(self._read, said_by_operator=said_by_operator), defaults)
        if not (self._may_be_missing and findings.has_models()):
            findings.notes += self._missing_models_dir()
        return msgspec.structs.replace(findings.found(), defaults=given)

    def _is_described(self, place: ModelFolder, scan: Scan) -> bool:
        """Return whether a folder is a part of the model around it by that model's own word, a file that describes its folder.

        A folder called by a number alone is a version all the same.
        """
        outer = str(Path(place.relative).parent) if place.depth > 1 else ""
        around = next((each for each in scan.places() if each.relative == outer), None)
        if around is None or _NUMBER.fullmatch(place.folder.name):
            return False
        return self._recognition.is_whole({name: around.folder / name for name in around.files})

    def explanation(self) -> str:
        """Return one line: whether the root's model-settings.json is a model or gives defaults."""
        scans = self._scans()
        return self._role(scans[0], scans).explanation

    def _role(self, scan: Scan, scans: Sequence[Scan]) -> Role:
        """Return what the root of one of the repositories is."""
        if scan is not scans[0]:
            return role_of(scan, alone=True)
        further = None if self._models_dir is None else f"models_dir is {self._models_dir}"
        if self._further_root is not None and _same(self._further_root, self._root):
            further = None
        elif self._may_be_missing and not any(not place.is_bare for other in scans[1:] for place in other.places()):
            further = None  # an image's default, with nothing mounted that could name no runtime
        return role_of(scan, alone=self._models_dir is None, further=further)

    def _scans(self) -> list[Scan]:
        scans = self._scanned()
        if self._environment_model and all(place.is_bare for each in scans for place in each.places()):
            scans[0].give_head(Document(self._environment_model, "", ENVIRONMENT), ENVIRONMENT)
        return scans

    def _scanned(self) -> list[Scan]:
        root, further = self._root, self._further_root
        scan = partial(
            Scan, well_known=tuple(self._recognition.files), follow_links=self._follow_links, dialect=self._dialect
        )
        if self._models_dir is None or further is None or not further.is_dir() or _same(further, root):
            return [scan(root, shown=self._folder, skip=self._cache, called=self._root_name)]
        own = scan(root, shown=self._folder, skip={further.resolve(), *self._cache}, called=self._root_name)
        other = scan(further, shown=self._models_dir, skip={root.resolve(), *self._cache})
        # The name is for the one model that is a folder itself; what the served folder has in itself comes first.
        if own.head is None or not self._role(own, [own, other]).is_model:
            other.call_head(self._root_name)
        return [own, other]

    def _missing_models_dir(self) -> list[str]:
        if self._further_root is None or self._further_root.is_dir():
            return []
        return [f"The models folder {self._models_dir} is not there; no models come from it."]

    def _read(self, place: ModelFolder, defaults: Defaults, *, said_by_operator: Defaults) -> ModelSettings:
        if place.error is not None:
            raise place.error
        own: Leaves = {} if place.document is None else read_model_document(place.document)
        leaves = with_defaults(defaults.leaves, own)
        folders = defaults.folders_of_code(own)
        leaves = self._foreign.replaced(leaves, (place.folder, folders.implementation), _spoken(place))
        if place.is_bare or not (_RUNTIME in leaves or _IMPLEMENTATION in leaves):
            leaves = self._recognised(place, leaves)
        operators = leaves if self._is_trusted(place) else said_by_operator.leaves
        return replace(
            _named(place, own, leaves, operators),
            implementation_folder=folders.implementation if _IMPLEMENTATION in leaves else None,
            codecs_folder=folders.codecs,
        )

    def _recognised(self, place: ModelFolder, leaves: Leaves) -> Leaves:
        """Return the settings with the runtime of the file that was found, and that file as the uri."""
        uri = leaves.get(_URI)
        chosen = {path: value for path, value in leaves.items() if path not in (_RUNTIME, _IMPLEMENTATION)}
        if uri is not None and scheme_of(uri) is not None:
            # The name alone is known; whether it is code that may run, and whose, is seen when it has been fetched.
            runtimes = self._recognition.by_name(name_of(uri), place=_spoken(place))
            return chosen | ({_RUNTIME: runtimes[0]} if len(runtimes) == 1 else {_CANDIDATES: tuple(runtimes)})
        files = {name: name for name in place.files} if uri is None else self._files_at(place.folder, uri)
        code_allowed = leaves.get(_ALLOW_PICKLE, self._is_trusted(place))
        paths = {name: place.folder / at for name, at in files.items()}
        file, runtime = self._recognition.choose(paths, place=_spoken(place), code_allowed=code_allowed)
        chosen |= {_RUNTIME: runtime, _URI: files[file]}
        return chosen | {_ALLOW_PICKLE: True} if self._recognition.is_code(file) else chosen

    def runtime_for(self, settings: ModelSettings, path: Path) -> str:
        """Return the runtime of a file that was elsewhere and has been fetched, of those that its name leaves open.

        `path` is the fetched file, which has kept its name. Raises FileContested or FileRefused.
        """
        return self._recognition.choose({path.name: path}, place=settings.source, code_allowed=True)[1]

    def _files_at(self, folder: Path, uri: str) -> dict[str, str]:
        """Return the well-known files at a uri, each with a uri of its own."""
        path = folder / uri
        if path.is_dir():
            return {name: f"{uri.rstrip('/')}/{name}" for name in self._recognition.files if (path / name).exists()}
        return {path.name: uri} if path.is_file() else {}

    def _is_trusted(self, place: ModelFolder) -> bool:
        """Return whether a folder is the one on the command line, whose content the user trusts."""
        return place.depth == 0 and place.root == self._root


class _Findings:
    """Models and failures, collected while the folders are scanned."""

    def __init__(self, claimed: Iterable[Path]) -> None:
        self._claimed = list(claimed)
        self._outcomes: list[tuple[ModelFolder, ModelSettings | FailedModel]] = []
        self.notes: list[str] = []
        self.explanations: list[str] = []

    def add(
        self, place: ModelFolder, read: Callable[[ModelFolder, Defaults], ModelSettings], defaults: Defaults
    ) -> None:
        """Read the model of a folder, and collect it or its failure."""
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

    def has_models(self) -> bool:
        """Return whether a model was found, broken or not."""
        return bool(self._outcomes)

    def found(self) -> Found:
        """Return the models and failures in order; a version that is in two folders is a failure."""
        outcomes: dict[tuple[str, str], list[tuple[ModelFolder, ModelSettings | FailedModel]]] = {}
        for place, outcome in self._outcomes:
            outcomes.setdefault((outcome.name, told(outcome.version)), []).append((place, outcome))
        models: list[ModelSettings] = []
        failures: list[FailedModel] = []
        for _, same in sorted(outcomes.items(), key=_by_name_and_version):
            outcome = same[0][1] if len(same) == 1 else _twice(same)
            if isinstance(outcome, ModelSettings):
                models.append(outcome)
            else:
                failures.append(outcome)
        explanation, *others = self.explanations
        return Found(tuple(models), tuple(failures), explanation, (*self.notes, *others))

    def _belongs_to_another(self, place: ModelFolder) -> bool:
        """Return whether the file is the artifact of another model, and so no model of its own."""
        folder = place.folder.resolve()
        return any(
            path.parent == folder if path.is_file() else path in (folder, *folder.parents) for path in self._claimed
        )


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _claims(scan: Scan) -> Iterator[Path]:
    """Yield the files and folders that settings name by `uri`, except the model's own folder and those around it."""
    for place in scan.places():
        uri = None if place.document is None else uri_of(place.document)
        if uri is None:
            continue
        folder = place.folder.resolve()
        if exists(place.folder / uri) and (path := (place.folder / uri).resolve()) not in (folder, *folder.parents):
            yield path


def _is_in_a_model(place: ModelFolder, scan: Scan, role: Role) -> bool:
    """Return whether a folder with a well-known file and no settings is in the folder of a model: a part of it, perhaps."""
    if not place.is_bare:
        return False
    if place.depth == 1:
        return role.is_model
    return any(other.relative == str(Path(place.relative).parent) for other in scan.others)


def _is_called_as_a_version(place: ModelFolder) -> bool:
    """Return whether a folder in a model's folder may be a version of it by its name, or beside the root a model of its own.

    A version would take the place of the model around it, which has none, so its name must look like a version's.
    """
    return place.depth == 1 or _LIKE_A_VERSION.match(place.folder.name) is not None


def _named(place: ModelFolder, own: Leaves, leaves: Leaves, operators: ModelDefaults) -> ModelSettings:
    """Return the settings, with name and version from the folder where the settings have none.

    `operators` are those of them that the server's operator gave.
    """
    folder = place.folder.absolute()
    name, version = place.names()
    if place.depth == 2 and own.get(("name",)) == folder.name:
        version = None  # the folder is called as the model is, so it is the model's and no version's
    settings = model_settings(
        leaves,
        name=name,
        version=version,
        folder=folder,
        source=place.source,
        operator_extra=operators.get(_EXTRA) or {},
        operator_allows_pickle=operators.get(_ALLOW_PICKLE) is leaves.get(_ALLOW_PICKLE) is True,
    )
    if not is_model_name(settings.name):
        raise NoModelName(_spoken(place), settings.name)
    if settings.version is not None and not is_version(settings.version):
        raise NoVersionName(_spoken(place), settings.version)
    return settings


def _failed(place: ModelFolder, error: SettingError) -> FailedModel:
    name, version = place.names()
    values = {} if place.document is None else place.document.values
    said, parameters = values.get("name"), values.get("parameters")
    if isinstance(said, str) and is_model_name(said):
        name, version = said, None if said == place.folder.name else version
    if isinstance(parameters, Mapping) and isinstance(parameters.get("version"), str):
        version = parameters["version"]
    return FailedModel(name, version, place.source, error, error.public.replace(f"{place.shown_root}/", ""))


def _twice(same: Sequence[tuple[ModelFolder, ModelSettings | FailedModel]]) -> FailedModel:
    places, outcomes = zip(*same, strict=True)
    name, versions = outcomes[0].name, {outcome.version for outcome in outcomes}
    title = f"Model '{name}'" if versions == {None} else f"Version '{told(outcomes[0].version)}' of model '{name}'"
    error = ModelTwice(
        title, [_spoken(place) for place in places], _inside(places), beside_unversioned=len(versions) > 1
    )
    version = next((version for version in versions if version is not None), None)
    return FailedModel(name, version, " and ".join(place.source for place in places), error, error.public)


def _inside(places: Sequence[ModelFolder]) -> list[str]:
    """Return the folders as clients may see them: as paths within the repository."""
    if len({place.root for place in places}) == 1:
        return [place.source for place in places]
    return [f"{place.source} of {'models_dir' if place.root != places[0].root else 'the folder'}" for place in places]


def _spoken(place: ModelFolder) -> str:
    """Return the path of a folder or of its settings, as a person wrote it on the terminal."""
    return str(place.shown) if place.is_bare else str(place.shown / FILE)


def _by_name_and_version(entry: tuple[tuple[str, str], object]) -> tuple[str, tuple[object, ...]]:
    (name, version), _ = entry
    return name, version_key(version)
