"""Pictures and sound, as files or numbers, are answered as transformers' pipelines answer them."""

import base64
import io
import wave

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from srv import Tensor

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 40, 50, 3), dtype=np.uint8)
SOUNDS = [(RNG.normal(size=8000 + 400 * (place % 3)) * 0.2).clip(-1, 1) for place in range(12)]


def png(pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def wav(samples, *, width=2, channels=1, rate=16000):
    file = io.BytesIO()
    whole = np.round(samples * (2 ** (8 * width - 1) - 1)).astype(np.int64)
    if width == 1:
        whole += 128
    data = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(np.repeat(data, channels, axis=0).tobytes())
    return file.getvalue()


def as_text(file):
    return base64.b64encode(file)


def texts(array):
    return [value.decode() for value in array.reshape(-1).tolist()]


@pytest.fixture(scope="module")
def classes(root):
    classify = transformers.pipeline("image-classification", model=str(root / "vit"), device="cpu")
    return [classify(Image.fromarray(pixels), top_k=3) for pixels in PIXELS]


@pytest.mark.parametrize("form", ["json", "binary", "grpc"])
@pytest.mark.parametrize(
    "images",
    [
        pytest.param(lambda: [as_text(png(pixels)) for pixels in PIXELS], id="base64"),
        pytest.param(lambda: PIXELS, id="pixels"),
        pytest.param(lambda: [png(pixels) for pixels in PIXELS], id="files"),
    ],
)
def test_classes_of_images_are_those_of_the_pipeline(served, classes, form, images):
    values = images()
    if form == "json" and isinstance(values, list) and values[0].startswith(b"\x89"):
        pytest.skip("JSON cannot carry plain bytes.")
    answer = served.infer("vit", {"anything": values}, parameters={"top_k": 3}, form=form)

    assert texts(answer["label"]) == [each["label"] for row in classes for each in row]
    np.testing.assert_allclose(
        answer["score"].reshape(-1), [each["score"] for row in classes for each in row], atol=2e-5
    )


def test_a_jpeg_in_grey_is_read_as_rgb(served, root):
    grey = np.asarray(Image.fromarray(PIXELS[0]).convert("L"))
    file = png(grey, "JPEG")
    classify = transformers.pipeline("image-classification", model=str(root / "vit"), device="cpu")
    [best] = classify(Image.open(io.BytesIO(file)).convert("RGB"), top_k=1)

    answer = served.infer("vit", [Tensor("image", [file])], form="binary")

    assert texts(answer["label"]) == [best["label"]]
    np.testing.assert_allclose(answer["score"], [best["score"]], atol=2e-5)


@pytest.fixture(scope="module")
def heard(root):
    listen = transformers.pipeline("automatic-speech-recognition", model=str(root / "wav2vec2"), device="cpu")
    rounded = [(np.round(samples * 32767) / 32768).astype(np.float32) for samples in SOUNDS]
    return [listen({"raw": samples, "sampling_rate": 16000})["text"] for samples in rounded]


@pytest.mark.parametrize("form", ["json", "binary", "grpc"])
def test_speech_is_heard_as_the_pipeline_hears_it(served, heard, form):
    files = [wav(samples) for samples in SOUNDS]
    answer = served.infer("wav2vec2", {"audio": [as_text(file) for file in files]}, form=form)
    assert texts(answer["text"]) == heard
    if form != "json":
        assert texts(served.infer("wav2vec2", {"audio": files}, form=form)["text"]) == heard


@pytest.mark.parametrize("form", ["json", "binary", "grpc"])
def test_samples_are_heard_as_their_file_is(served, heard, form):
    rounded = (np.round(np.array(SOUNDS[::3]) * 32767) / 32768).astype(np.float32)
    answer = served.infer("wav2vec2", {"audio": rounded}, parameters={"sampling_rate": 16000}, form=form)
    assert texts(answer["text"]) == heard[::3]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_wav_file_of_each_width_holds_the_same_sound(width, channels):
    from srv_huggingface.speech import read_audio

    [samples] = read_audio(Tensor("audio", [wav(SOUNDS[0], width=width, channels=channels)]), 16000, None)

    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, SOUNDS[0], atol=1.6 / 2 ** (8 * width - 1) if width < 4 else 1e-6)


def test_speech_is_generated_as_the_model_does(served, root):
    processor = transformers.AutoFeatureExtractor.from_pretrained(root / "whisper")
    tokenizer = transformers.AutoTokenizer.from_pretrained(root / "whisper")
    model = transformers.AutoModelForSpeechSeq2Seq.from_pretrained(root / "whisper")
    samples = np.array(SOUNDS[::3], dtype=np.float32)
    with torch.no_grad():
        features = processor(list(samples), sampling_rate=16000, return_tensors="pt", return_attention_mask=True)
        expected = tokenizer.batch_decode(model.generate(**features, max_new_tokens=8), skip_special_tokens=True)

    parameters = {"sampling_rate": 16000, "max_new_tokens": 8}
    answer = served.infer("whisper", {"audio": samples}, parameters=parameters, form="binary")

    assert texts(answer["text"]) == expected
