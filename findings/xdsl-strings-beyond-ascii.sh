#!/usr/bin/env bash
# xdsl does not read back a string beyond ASCII as it wrote it: what was a string comes back as bytes.
#
# Version: xdsl 0.74.0.
# Behaviour: the printer writes a StringAttr in UTF-8 with an escape for each byte beyond ASCII. The parser takes a literal
#   with such escapes for a BytesAttr, so that the attribute that was read is of another class than the one that was
#   written, without an error. A string of ASCII alone comes back as it was.
# Output seen (2026-11-30, Python 3.11.7):
#   name: "name" StringAttr -> StringAttr
#   größe: "gr\C3\B6\C3\9Fe" StringAttr -> BytesAttr
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/strings.py" <<'PY'
from io import StringIO

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, StringAttr
from xdsl.parser import Parser
from xdsl.printer import Printer

for text in ("name", "größe"):
    written = StringIO()
    Printer(written).print_attribute(StringAttr(text))
    context = Context()
    context.load_dialect(Builtin)
    again = Parser(context, written.getvalue()).parse_attribute()
    print(f"{text}: {written.getvalue()} StringAttr -> {type(again).__name__}")
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'xdsl==0.74.0'
PYTHONIOENCODING=utf-8 "$work/env/bin/python" "$work/strings.py" > "$work/seen"

cat "$work/seen"
diff "$work/seen" - <<'EXPECTED'
name: "name" StringAttr -> StringAttr
größe: "gr\C3\B6\C3\9Fe" StringAttr -> BytesAttr
EXPECTED
