#!/usr/bin/env bash
# With pytest 9.2.0, pytest-xdist 3.8.0 no longer sends the tests of an xdist_group to one process, without a word.
#
# Versions: pytest-xdist 3.8.0 beside pytest 9.1.1 and 9.2.0 (each installed here in an environment of its own).
# Behaviour: `--dist loadgroup` puts the group behind the name of a test, `name@group`, and tests with the same one go to
#   one process. With pytest 9.2.0 the names stay as they are, and the tests of a group go to all processes: a fixture of
#   module scope, which groups are there to make once, is made by each. Every test passes.
# Output seen (2026-12-01, Python 3.11.7):
#   9.1.1: 4 named @one, 1 process
#   9.2.0: 0 named @one, 2 processes
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/test_group.py" <<'PY'
import os
import time
from pathlib import Path

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(4))
def test_of_the_group(number):
    Path(f"process-{os.getpid()}").touch()
    time.sleep(0.5)
PY

seen() {
    python3 -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
    mkdir "$work/run-$1"
    cp "$work/test_group.py" "$work/run-$1"
    said=$(cd "$work/run-$1" && "$work/$1/bin/python" -m pytest -n 2 --dist loadgroup -v)
    grep -q "4 passed" <<< "$said"
    named=$(grep -c "PASSED.*@one" <<< "$said" || true)
    processes=$(find "$work/run-$1" -name 'process-*' | wc -l)
    echo "$1: $named named @one, $processes $([ "$processes" = 1 ] && echo process || echo processes)"
}

expected="9.1.1: 4 named @one, 1 process
9.2.0: 0 named @one, 2 processes"
found=$(seen 9.1.1; seen 9.2.0)
echo "$found"
[ "$found" = "$expected" ]
