from srv import Runtime


class Words(Runtime):
    """Text in, text out."""

    def predict(self, text: list[str]) -> list[str]:
        return [word.upper() for word in text]
