"""Image classification: files of PNG, JPEG and their like, or pixels, become classes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.errors import SrvError, quoted
from srv_huggingface.classes import Scores
from srv_huggingface.loading import Loaded, to_device
from srv_huggingface.media import are_files, files_of
from srv_huggingface.parameters import OfImages, Plain
from srv_huggingface.task import NoRows, Task

_CHANNELS = 3
#: The most pixels of an image, where Pillow warns: a small file can hold many, and they take memory.
_MOST_PIXELS = 2**30 // 12


class PillowMissing(SrvError):
    """Pictures are read by Pillow, which is not installed."""

    def __init__(self) -> None:
        super().__init__("Images need Pillow, which is not installed. Install it: pip install srv-huggingface[images].")


class NotAnImage(InvalidInput):
    """An element is no file of an image that Pillow can read."""

    def __init__(self, name: str, row: int, why: str) -> None:
        super().__init__(f"Input {quoted(name)}, row {row}, is no image that can be read: {why}.")


class NotOfImages(InvalidInput):
    """An input is neither of files nor of pixels."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(
            f"Input {quoted(tensor.name)} is {tensor.datatype} {list(tensor.shape)}; the model takes BYTES [n], a file of an "
            "image for each row, or UINT8 [n, height, width, 3], pixels in RGB."
        )


class ImageClassification(Task):
    """A class for each image."""

    parameters: ClassVar[type[Plain]] = OfImages

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        try:
            import PIL.Image  # noqa: F401  here, because models of texts do not need it
        except ImportError:
            raise PillowMissing from None
        self._processor = loaded.read("AutoImageProcessor", "image processor")
        self._scores = Scores(self.model.config)
        self.inputs = [Spec("BYTES", (-1,), name="image", parameters={"content_type": "base64"})]
        self.outputs = self._scores.specs()
        self.described = {"labels": self._scores.labels}

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return label, score and logits of each image."""
        self.check_inputs(request)
        prepared = [
            self._processor(images=image, return_tensors="pt")["pixel_values"]
            for image in _images(request.tensor("image"))
        ]
        logits = np.empty((len(prepared), len(self._scores.labels)), dtype=np.float32)
        with torch.inference_mode():
            for places in self._of_one_size(prepared):
                pixels = torch.cat([prepared[place] for place in places])
                found = self.model(**to_device({"pixel_values": pixels}, self.model)).logits
                logits[places] = found.float().cpu().numpy()
        return self._scores.outputs(logits, request, given)

    def _of_one_size(self, prepared: Sequence[torch.Tensor]) -> Iterator[list[int]]:
        """Yield the places of images that fit into one batch; a processor that does not resize leaves sizes as they are."""
        sizes: dict[Any, list[int]] = {}
        for place, pixels in enumerate(prepared):
            sizes.setdefault(tuple(pixels.shape), []).append(place)
        most = self.loaded.order.batch_size
        for places in sizes.values():
            yield from (places[first : first + most] for first in range(0, len(places), most))


def _images(tensor: Tensor) -> Iterator[Any]:
    """Yield the images of an input, as Pillow has them, in RGB."""
    from PIL import Image

    is_pixels = tensor.datatype == "UINT8" and len(tensor.shape) == _CHANNELS + 1 and tensor.shape[-1] == _CHANNELS
    if not is_pixels and not are_files(tensor):
        raise NotOfImages(tensor)
    if not tensor.shape[0]:
        raise NoRows(tensor.name)
    if is_pixels:
        yield from map(Image.fromarray, tensor.data)
        return
    for row, value in enumerate(files_of(tensor)):
        yield _read(value, tensor.name, row)


def _read(value: bytes, name: str, row: int) -> Any:
    """Return the image of a file, in RGB. Raises NotAnImage."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(value))
        size = image.size
        found = image.convert("RGB") if size[0] * size[1] <= _MOST_PIXELS else None
    except Exception as error:  # Pillow raises whatever its readers meet in a broken file
        raise NotAnImage(name, row, f"Pillow raises {type(error).__name__}") from error
    if found is None:
        raise NotAnImage(name, row, f"it has {size[0]} x {size[1]} pixels, which are too many")
    return found
