"""`nitic demo` as a user runs it: the accuracy that it promises, from the commands that it shows."""

import re
import subprocess
import sys
from pathlib import Path

from nitic.driver.demo import LEAST_ACCURACY


def test_the_demo_reaches_97_percent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nitic", "demo", "--seed", "0", "--folder", "made"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert LEAST_ACCURACY >= 97
    accuracy = re.search(r"^test accuracy +([0-9.]+) %$", done.stdout, re.MULTILINE)
    assert accuracy
    assert float(accuracy[1]) >= 97
    assert (tmp_path / "made" / "digits_cnn").stat().st_size > 0
    assert len(list((tmp_path / "made" / "ir").iterdir())) >= 15
