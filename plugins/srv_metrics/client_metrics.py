"""Metrics that models and plugins keep with prometheus_client, of all workers where the library can share them."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from srv_metrics.client_files import files_in_force, fold_files_of_the_dead

log = logging.getLogger(__name__)

#: What may have exemplars in OpenMetrics: the family's type, and how the sample's name ends.
_WITH_EXEMPLARS = frozenset({("counter", "total"), ("histogram", "bucket"), ("gaugehistogram", "bucket")})

#: Names the folder of files, as prometheus_client reads it; the worker sets it before anybody imports that.
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: How the name of a server's own folder begins.
_OF_A_SERVER = "srv-run-"


class ClientMetrics:
    """Collects from prometheus_client's files and registries, and logs once what cannot be shown."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def of(self, registries: Iterable[Any], taken: Collection[str]) -> Iterator[Metric]:
        """Yield the families of all workers, and of this worker those that only the registries have.

        `registries` are those of models; the default one is asked too. Names that are taken are left out.
        """
        families: dict[str, Metric] = {}
        for family in self._collected(_Files()):
            self._add(families, family, taken)
        of_all_workers = {*families}
        ours = {*taken, *_names_of_the_library()}
        of_models = (each for each in registries if isinstance(each, CollectorRegistry))  # no thing of another library
        for registry in dict.fromkeys((prometheus_client.REGISTRY, *of_models)):
            for family in self._collected(registry):
                if family.name not in of_all_workers:
                    self._add(families, family, ours if registry is prometheus_client.REGISTRY else taken)
        yield from families.values()

    def _collected(self, collector: Any) -> Iterator[Metric]:
        """Yield the families that a collector gives, up to where it raises."""
        try:
            for family in collector.collect() if collector is not None else ():
                if isinstance(family, Metric) and isinstance(family.name, str):
                    yield family
                else:
                    self._tell(
                        f"What a collector of a model or plugin gives, a {type(family).__name__}, is not shown: it is no "
                        "Metric of prometheus_client with a name."
                    )
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001  somebody's own collector may raise anything, such as SystemExit
            self._tell(f"Some metrics of models or plugins are not shown: {type(error).__name__}: {error}.")

    def _add(self, families: dict[str, Metric], family: Metric, taken: Collection[str]) -> None:
        if family.name in taken:
            if family.name.startswith("srv_"):
                self._tell(f"The metric '{family.name}' of a model or plugin is not shown: srv has one of that name.")
        elif not _can_be_written(family):
            self._tell(
                f"The metric '{family.name}' of a model or plugin is not shown: it has samples that cannot be written."
            )
        elif family.name not in families:
            families[family.name] = family
        else:
            there = families[family.name]
            known = {(sample.name, *sorted(sample.labels.items())) for sample in there.samples}
            there.samples += [
                sample for sample in family.samples if (sample.name, *sorted(sample.labels.items())) not in known
            ]

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning(sentence)


class _Files:
    """Collects from the files of all workers, if there is a folder of them."""

    def collect(self) -> Iterator[Metric]:
        """Yield the families of all workers and of child processes."""
        named = os.environ.get(_FOLDER)
        if not named or not Path(named).is_dir():
            return
        folder = Path(named)
        if folder.parent.name.startswith(_OF_A_SERVER):  # because a user's own folder may have files of other machines
            fold_files_of_the_dead(folder)
        with files_in_force(folder) as files:
            yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]


def _names_of_the_library() -> set[str]:
    """Return the names of what prometheus_client registers itself; srv tells it of every worker, or not at all."""
    own = (
        prometheus_client.PROCESS_COLLECTOR,
        prometheus_client.PLATFORM_COLLECTOR,
        prometheus_client.GC_COLLECTOR,
    )
    return {family.name for collector in own for family in collector.collect()}


def _can_be_written(family: Metric) -> bool:
    """Return whether values are numbers, texts are texts, and samples the family's own.

    What is not would end the whole page, or be taken for another metric.
    """
    try:
        for sample in family.samples:
            float(sample.value)
            if not (math.isfinite(float(sample.timestamp or 0)) and sample.name.startswith(family.name)):
                return False
            if sample.exemplar is not None and (family.type, sample.name.rpartition("_")[2]) not in _WITH_EXEMPLARS:
                return False
            "".join((family.documentation, sample.name, *sample.labels, *sample.labels.values())).encode()
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return False
    return True
