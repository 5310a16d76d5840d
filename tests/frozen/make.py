"""Freeze what the code answers today: `python tests/frozen/make.py` makes the artefacts that are missing.

What is missing of the files in `files/` is made, too. What is there is kept. To make an artefact anew,
because its numbers changed on purpose, name it: `python tests/frozen/make.py motion/a2ep`, and say in the commit why.
The files are of a format that was: they are never made anew, only added to.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
VALUES = HERE / "values"
COMMAND = "python tests/frozen/make.py"


def place(name):
    return VALUES / f"{name}.json"


def write(name, found):
    """One item a line, so that a change is read in a diff."""
    place(name).parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in found.items())
    place(name).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def read(name):
    return json.loads(place(name).read_text(encoding="utf-8"))


def main(names):
    sys.path[:0] = [str(HERE.parent), str(HERE.parent / "face"), str(HERE)]
    import cases
    import frozen_files

    from visemix.types import VisemixError

    known = cases.CASES
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"nothing to freeze is called {', '.join(unknown)} (have: {', '.join(known)})")
    frozen_files.make_missing()
    os.chdir(tempfile.mkdtemp())  # a cache is kept relative to the folder one is in
    for name in names or [name for name in known if not place(name).exists()]:
        try:
            write(name, known[name]())
            print(f"{name}: {place(name).stat().st_size} bytes")  # noqa: T201
        except VisemixError as error:
            print(f"{name} is left out: {error}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
