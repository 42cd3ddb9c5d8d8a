"""What a folder's own code imports, read from its files."""

import pytest

from srv_dockerfile.imports import foreign_imports


@pytest.fixture
def imports(tmp_path):
    def make(text, **files):
        for name, content in {"models.py": text, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return foreign_imports(tmp_path, "models")

    return make


def test_imports_count_wherever_they_stand(imports):
    text = "import pandas as pd\nfrom sklearn.svm import SVC\ndef load():\n    import joblib\n    from a.b import *\n"

    assert set(imports(text)) == {"pandas", "sklearn.svm.SVC", "joblib", "a.b"}


def test_siblings_are_followed_and_named(imports):
    files = {
        "helper.py": "import torch\n",
        "parts/__init__.py": "from .inner import x\n",
        "parts/inner.py": "from ..helper import y\nimport yaml\nfrom . import other\n",
        "parts/other.py": "import attrs\n",
        "unused.py": "import never\n",
        "attrs/weights.bin": "",
    }

    assert imports("import helper\nfrom parts import inner\nimport models\n", **files) == {
        "torch": "helper.py",
        "yaml": "parts/inner.py",
        "attrs": "parts/other.py",
    }


@pytest.mark.parametrize(
    "text",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\n",
        "try:\n    import pandas\nexcept ImportError:\n    import polars\n",
        "if __name__ == '__main__':\n    import pandas\n",
        "this is no Python",
    ],
)
def test_what_need_not_be_there_does_not_count(imports, text):
    assert set(imports(text)) <= {"typing.TYPE_CHECKING"}
