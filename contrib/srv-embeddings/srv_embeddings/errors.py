"""What can be wrong with a model's folder, and what with a request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from srv.errors import InvalidInput, SrvError, closed, listed, nearest, quoted


class UnfitFolder(SrvError):
    """The files of the model's folder say something that this package does not serve."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"'{file}' {closed(why)}")


class NoModelFile(SrvError):
    """Beside the tokenizer lies neither an ONNX graph nor a table of static vectors."""

    def __init__(self, names: Iterable[str], *, has_weights: bool) -> None:
        advice = (
            "There are weights for torch: export the model to ONNX, or serve it with srv-huggingface."
            if has_weights
            else "Put it there, or name it with parameters.extra.file."
        )
        super().__init__(f"The folder has a tokenizer, and no model beside it: {listed(names)} is missing. {advice}")


class NoPooling(SrvError):
    """No file says how the vectors of a text's tokens become one."""

    def __init__(self, modes: Sequence[str]) -> None:
        super().__init__(
            "No file says how to pool: 1_Pooling/config.json is missing, and the ONNX graph has no output 'sentence_embedding'. "
            "Add the files that sentence-transformers wrote, or set parameters.extra.pooling "
            f"({', '.join(modes)}); a wrong one gives wrong vectors."
        )


class Contradiction(SrvError):
    """The settings say something else than the files of the folder."""

    def __init__(self, key: str, said: object, file: str, found: object) -> None:
        super().__init__(
            f"parameters.extra.{key} is '{said}', and {file} says '{found}'. Leave one of them out, so that they do not disagree."
        )


class NotOfReranker(SrvError):
    """The settings of a reranker say something about vectors."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"parameters.extra.{key} is about vectors of texts, and this model is a reranker, which gives scores. Leave it out."
        )


class UnknownTask(SrvError):
    """A graph for classification has more labels than one, so that it gives no score of relevance."""

    def __init__(self, labels: int) -> None:
        super().__init__(
            f"The model classifies into {labels} labels, and srv-embeddings serves rerankers, which give one score. Serve it with "
            "srv-onnx or srv-huggingface."
        )


class UnfitTexts(InvalidInput):
    """An input does not hold the texts that the model takes."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"Input {quoted(name)} {closed(why)}")


class UnfitRow(InvalidInput):
    """One text of an input is none that the model takes."""

    def __init__(self, name: str, row: int, why: str) -> None:
        super().__init__(f"Input {quoted(name)}, row {row}: {closed(why)}")


class UnfitParameter(InvalidInput):
    """A parameter of the request has a value that it cannot have."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        super().__init__(f"Parameter '{name}' is {quoted(value)}; it must be {wanted}.")


class MisspeltParameter(InvalidInput):
    """A parameter is called nearly like one that would change the answer."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"Parameter {quoted(name)} is unknown.{nearest(name, known)}")


class UnknownPrompt(InvalidInput):
    """The model's files have no prompt of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"The model has no prompt called {quoted(name)}; it has {listed(known)}.{nearest(name, known)}"
        )
