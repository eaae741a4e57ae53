"""docs/operators.md lists what the importer knows, no more and no less."""

import re
from pathlib import Path

from nitic.frontend.operators import HANDLERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def test_every_operator_is_listed() -> None:
    table = PAGE.read_text().split("| ONNX operator |")[1].split("\n\n")[0]
    listed = {name for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in row.split(", ")}
    assert listed == set(HANDLERS)
