#!/usr/bin/env bash
# typer no longer stands on click: a program that uses both changes its meaning with typer's version.
#
# Versions: typer 0.25.1, 0.26.0 and 0.29.2 beside click 8.4.0 (each installed here in an environment of its own).
# Behaviour: until 0.25.1 typer requires click, and click sees typer's commands. From 0.26.0 on typer carries a copy of
#   click of its own and requires none, so that with both installed click.get_current_context() finds no context inside
#   a typer command, without an error; and `import click` fails where nothing else brings click. A click.ParamType still
#   works as `click_type` in 0.26.0; in 0.29.2 typer.Option has no such parameter any more.
# Output seen (2026-11-30, Python 3.11.7):
#   0.25.1 requires click: yes; context: yes; click_type: HELLO
#   0.26.0 requires click: no; context: no; click_type: HELLO
#   0.29.2 requires click: no; context: no; click_type: TypeError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/context.py" <<'PY'
import click
import typer

app = typer.Typer()


@app.command()
def main() -> None:
    print("yes" if click.get_current_context(silent=True) else "no")


app()
PY
cat > "$work/option.py" <<'PY'
import click
import typer


class Upper(click.ParamType):
    name = "upper"

    def convert(self, value, param, ctx):
        return value.upper()


try:
    word = typer.Option("hello", click_type=Upper())
except TypeError:
    print("TypeError")
    raise SystemExit

app = typer.Typer()


@app.command()
def main(word: str = word) -> None:
    print(word)


app(["--word", "hello"])
PY

python3 -m venv "$work/env"
for version in 0.25.1 0.26.0 0.29.2; do
  "$work/env/bin/pip" install --quiet --disable-pip-version-check "typer==$version" 'click==8.4.0'
  requires=$("$work/env/bin/python" -c 'from importlib.metadata import requires
print("yes" if any(each.startswith("click") for each in requires("typer")) else "no")')
  context=$("$work/env/bin/python" "$work/context.py")
  option=$("$work/env/bin/python" "$work/option.py")
  echo "$version requires click: $requires; context: $context; click_type: $option"
done > "$work/seen"

cat "$work/seen"
diff "$work/seen" - <<'EXPECTED'
0.25.1 requires click: yes; context: yes; click_type: HELLO
0.26.0 requires click: no; context: no; click_type: HELLO
0.29.2 requires click: no; context: no; click_type: TypeError
EXPECTED
