"""What the scripts write: files, and beside them a manifest that says what a user of each file knows.

Only the standard library is imported here, since the scripts run in environments of their own.
"""

import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Samples:
    """What a network takes: images (H, W, C), sequences (T, C) or features (F,).

    A byte b of a data set reaches the file as `b * scale + offset`, of the type `element`. `channels_first`: the file
    has the channels of images and sequences before the other axes.
    """

    shape: tuple[int, ...]
    scale: float = 1
    offset: float = 0
    channels_first: bool = False
    element: str = "float32"


UNIT = 1 / 255
AROUND_0: dict[str, Any] = {"scale": 2 / 255, "offset": -1.0}


@dataclass(frozen=True)
class File:
    """A file, or why its writer did not write it.

    head: what the output is, "logits", "softmax", "log_softmax", "sigmoid" or "number".
    options: of `nitic compile`, where a user has to give some.
    output: the name of the output that holds the classes; None for the first one.
    quantised: whether roundings of the file are none of the network in floats.
    """

    writer: str
    network: str
    form: str
    samples: Samples
    head: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    output: str | None = None
    quantised: bool = False
    failure: str | None = None

    @property
    def name(self) -> str:
        return f"{self.network}-{self.form}" if self.form else self.network

    def path(self, folder: Path) -> Path:
        return folder / self.writer / f"{self.name}.onnx"


class Folder:
    """Where a script writes: `python -m ... OUT` writes to OUT/WRITER."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.root = Path(sys.argv[1]).resolve()
        self.folder = self.root / writer
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MANIFEST).write_text("")

    def write(
        self,
        make: Callable[[str], Any],
        network: str,
        form: str,
        samples: Samples,
        head: str = "logits",
        **details: Any,
    ) -> None:
        """Has `make` write a file, whose path it is given, and adds it to the manifest, or else why that failed."""
        file = File(self.writer, network, form, samples, head, **details)
        try:
            make(str(file.path(self.root)))
        except Exception as error:  # noqa: BLE001 - whatever a writer raises is what the table says
            traceback.print_exc()
            words = re.sub(r'File "[^"]*/', 'File "', " ".join(str(error).split()))[:200]
            file = replace(file, failure=f"{type(error).__name__}: {words}")
        with (self.folder / MANIFEST).open("a") as manifest:
            manifest.write(json.dumps(asdict(file)) + "\n")
        print(file.name, file.failure or "", flush=True)


def files(folder: Path, writer: str) -> Iterator[File]:
    """Those that a script has written, in its order."""
    manifest = folder / writer / MANIFEST
    for line in manifest.read_text().splitlines() if manifest.exists() else []:
        fields = json.loads(line)
        samples: dict[str, Any] = fields.pop("samples")
        shape = tuple(samples.pop("shape"))
        yield File(samples=Samples(shape, **samples), **fields)
