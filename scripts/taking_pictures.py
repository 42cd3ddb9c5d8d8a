"""Takes the picture of the page for browsers: a model of this file, in headless Chromium."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from chromium import chromium
from servers import running

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "page.png"
CODE = """
from srv import Runtime


class Prices(Runtime):
    def predict(self, rooms: list[int], area: list[float], city: list[str]) -> dict[str, list]:
        prices = [round(area * (5400 if city == "Bern" else 3900) + 8000 * rooms) for rooms, area, city in zip(rooms, area, city)]
        return {"city": city, "price": prices}
"""
ROWS = {
    "rooms": ("INT64", [3, 5, 2]),
    "area": ("FP64", [74.5, 121.0, 48.0]),
    "city": ("BYTES", ["Bern", "Ulm", "Bern"]),
}


def main() -> None:
    """Write the picture."""
    inputs = [{"name": name, "datatype": datatype, "shape": [-1]} for name, (datatype, _) in ROWS.items()]
    given = [
        {"name": name, "datatype": datatype, "shape": [3], "data": values} for name, (datatype, values) in ROWS.items()
    ]
    with TemporaryDirectory() as folder:
        place = Path(folder) / "prices"
        place.mkdir()
        (place / "models.py").write_text(CODE)
        settings = {"implementation": "models.Prices", "inputs": inputs, "warmup": [{"inputs": given}]}
        (place / "model-settings.json").write_text(json.dumps(settings))
        with running(Path(folder)) as server, chromium() as browser:
            page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
            page.goto(f"{server.url()}/v2/models/prices/docs")
            page.get_by_role("button", name="Send").click()
            page.get_by_role("heading", name="Rows").wait_for()
            page.locator("#status").evaluate("status => status.remove()")
            page.screenshot(path=PICTURE)
    print(f"Took {PICTURE.relative_to(PICTURE.parents[2])}, {PICTURE.stat().st_size // 1000} kB.")


if __name__ == "__main__":
    sys.exit(main())
