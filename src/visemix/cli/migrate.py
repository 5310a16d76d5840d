"""The command line's `migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visemix.cli.options import SOME_FAILED, echo, say


def migrate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Checkpoints, runs, clips, or folders of them.")
    ],
) -> None:
    """Write checkpoints and clips of older versions in today's format. What has it already is left as it is."""
    from visemix.data.migration import migrate

    done = migrate(paths)
    for one in done:
        if one.reason:
            say(one.reason)
        elif one.before == one.now:
            echo(f"{one.path} has today's format, {one.now}, and is left as it is")
        else:
            echo(f"{one.path} had format {one.before}, and has {one.now} now")
    if any(one.reason for one in done):
        raise typer.Exit(SOME_FAILED)
