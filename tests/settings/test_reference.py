from pathlib import Path

from srv.settings.reference import MARKER, page, reference

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_reference_is_what_the_schemas_say():
    current = PAGE.read_text(encoding="utf-8")
    assert current == page(current), "run: python -m srv.settings.reference docs/settings.md"


def test_what_is_written_by_hand_is_kept():
    assert page(f"# Mine\n\n{MARKER}old") == f"# Mine\n\n{MARKER}\n{reference()}"


def test_the_reference_says_type_default_variable_and_meaning():
    assert (
        "| `http_port` | an integer from 0 to 65535 | `8080` | `SRV_HTTP_PORT` "
        "| The port of REST; 0 takes a free one and says which. |"
    ) in reference()
    assert "| `plugins.strict` | true or false | `false` | `SRV_PLUGINS__STRICT` |" in reference()
