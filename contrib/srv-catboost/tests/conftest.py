"""The tests' models can be imported from `trained`, as from a module beside the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
