"""Networks of the tests: each with what a network may do that a server must get right."""

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """Rows of four numbers to three classes; a dict of outputs, of several dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.layers(x)
        return {"logits": logits, "probabilities": logits.softmax(-1), "label": logits.argmax(-1)}


class Pictures(nn.Module):
    """Pictures of any height and width to a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, picture: Tensor) -> Tensor:
        return self.layers(picture)


class Sequences(nn.Module):
    """Token ids and their mask to an LSTM's states, as a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states, (last, _) = self.lstm(self.embedding(ids) * mask.unsqueeze(-1))
        return states, last[0]


class Branches(nn.Module):
    """A branch and a loop that depend on the values, which torch.export keeps by cond and TorchScript as they are."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))


class Loops(nn.Module):
    """Control flow that only TorchScript keeps, with arguments of every kind that it has."""

    def forward(
        self,
        x: Tensor,
        times: int,
        factor: float = 2.0,
        double: bool = False,
        bias: Tensor | None = None,
        words: list[str] | None = None,
    ) -> dict[str, Tensor]:
        for _ in range(times):
            if x.sum() < 1000.0:
                x = x * factor
        if double:
            x = x * 2
        if bias is not None:
            x = x + bias
        if words is not None:
            x = x + len(words)
        return {"y": x}
