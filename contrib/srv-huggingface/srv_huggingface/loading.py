"""Loading: models, tokenizers and processors from a folder, by transformers, and nothing from the network.

The only module that imports transformers at its top beside those that it is imported by. The runtime imports them in
`load`, because srv imports the runtime's own module to ask whose a file is, and transformers takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from srv.errors import SrvError, listed, quoted
from srv_huggingface.folders import SPEECH, TASKS

#: Names of weights that a model may lack because what reads them is not asked.
_UNUSED = ("pooler.",)


#: Files that hold a tokenizer's words whatever its class is.
_VOCABULARIES = frozenset({"tokenizer.json", "tekken.json", "tokenizer.model"})


class WeightsMissing(SrvError):
    """The file lacks weights that the task needs, which transformers would fill with random numbers."""

    def __init__(self, task: str, names: list[str]) -> None:
        super().__init__(
            f"The model was not trained for the task {task}: its file lacks the weights {listed(names, most=5)}, and "
            "random ones would answer. Set parameters.extra.task to the task that it was trained for."
        )


class CodeNotTrusted(SrvError):
    """The model needs Python code of its folder, and the operator does not trust it."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The model needs code of its own: {why} If you have read that code, set parameters.extra.trust_remote_code "
            "to true in the model-settings.json of the folder that srv start is given, or in "
            "SRV_MODEL__PARAMETERS__EXTRA; a file that travels with the model is not asked."
        )


class DeviceMissing(SrvError):
    """The settings name a device that this machine does not have."""

    def __init__(self, device: str, why: str) -> None:
        super().__init__(f"parameters.extra.device is {quoted(device)}, which cannot be used here: {why}")


class NothingToRead(SrvError):
    """The folder lacks the files of the tokenizer or processor."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"The {what} of the model could not be read: {why} Save it into the folder with save_pretrained()."
        )


@dataclass(frozen=True)
class Order:
    """What is to be loaded, as folder and settings say."""

    folder: Path
    task: str
    kind: str
    is_safe: bool
    device: str = "cpu"
    dtype: str = "auto"
    batch_size: int = 32
    takes_pairs: bool = False
    trusts_code: bool = False

    @property
    def generates_speech(self) -> bool:
        """Whether it is speech recognition by a model that generates text."""
        return self.task == "automatic-speech-recognition" and self.kind in SPEECH


@dataclass(frozen=True)
class Loaded:
    """A model that is ready, and what it was loaded by."""

    order: Order
    model: Any

    def tokenizer(self) -> Any:
        """Return the folder's tokenizer. Raises NothingToRead, also where transformers would make an empty one."""
        found = self.read("AutoTokenizer", "tokenizer")
        names = set(found.vocab_files_names.values())
        if names and not any((self.order.folder / name).exists() for name in names | _VOCABULARIES):
            raise NothingToRead("tokenizer", f"there is none of {listed(names | _VOCABULARIES)}.")
        return found

    def read(self, class_name: str, what: str, **options: Any) -> Any:
        """Return a tokenizer or processor of the folder, by one of transformers' Auto classes. Raises NothingToRead."""
        reader = getattr(transformers, class_name)
        try:
            return reader.from_pretrained(
                self.order.folder, local_files_only=True, trust_remote_code=self.order.trusts_code, **options
            )
        except (OSError, ValueError, ImportError, TypeError) as error:
            raise NothingToRead(what, _first_line(error)) from error


def load(order: Order) -> Loaded:
    """Return the model. Raises WeightsMissing, CodeNotTrusted or DeviceMissing."""
    _quieten()
    class_name = "AutoModelForSpeechSeq2Seq" if order.generates_speech else TASKS[order.task]
    try:
        model, found = getattr(transformers, class_name).from_pretrained(
            order.folder,
            local_files_only=True,
            use_safetensors=order.is_safe,
            trust_remote_code=order.trusts_code,
            dtype=order.dtype,
            output_loading_info=True,
        )
    except ValueError as error:
        if "trust_remote_code" in str(error):
            raise CodeNotTrusted(_first_line(error)) from error
        raise
    missing = [name for name in found["missing_keys"] if not _is_unused(order.task, name)]
    if missing:
        raise WeightsMissing(order.task, missing)
    try:
        model.to(order.device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceMissing(order.device, _first_line(error)) from error
    return Loaded(order, model.eval().requires_grad_(requires_grad=False))


def _is_unused(task: str, name: str) -> bool:
    return task == "feature-extraction" and name.startswith(_UNUSED)


def _quieten() -> None:
    """Let transformers log as everybody does, by the server's configuration, and show no bars."""
    transformers.logging.disable_default_handler()
    transformers.logging.enable_propagation()
    transformers.utils.logging.disable_progress_bar()


def _first_line(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0].strip()
    return first if first.endswith((".", "!", "?")) else f"{first or type(error).__name__}."


def to_device(tensors: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """Return the tensors on the model's device, floating ones in its precision."""
    return {
        name: tensor.to(model.device, dtype=model.dtype if tensor.is_floating_point() else None)
        for name, tensor in tensors.items()
    }
