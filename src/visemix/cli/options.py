"""What all commands have in common: how they end, and the arguments that several take."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from visemix.terminal import PrintableFormatter, printable_lines, sentence, write_anything

SOME_FAILED, WRONG, BROKEN, STOPPED = 1, 2, 3, 130  # part of a batch; the user's to put right; ours; Ctrl-C


class Commands(TyperGroup):
    """Command group that prints errors in one sentence; `--debug`, anywhere on the line, shows the traceback."""

    debug = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments left once the options are parsed, `--debug` among them, which may stand anywhere."""
        self.debug = "--debug" in args
        return super().parse_args(ctx, [arg for arg in args if arg != "--debug"])

    def main(self, *args: Any, **extra: Any) -> Any:
        """What the command line returns; from here on any character can be written to any terminal."""
        write_anything()
        return super().main(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """What the command returns; an error ends the program with one sentence.

        Raises:
            typer.Exit: with 2 for what the user can put right, 3 for an unexpected error, 130 for Ctrl-C.
        """
        log = logging.StreamHandler()
        log.setFormatter(PrintableFormatter("%(message)s"))
        logging.basicConfig(handlers=[log], level=logging.INFO if self.debug else logging.WARNING)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("stopped; nothing half-written is left, and the same command goes on from here")
            raise typer.Exit(STOPPED) from None
        except Exception as error:
            if self.debug or isinstance(error, (typer.Abort, BrokenPipeError)) or hasattr(error, "exit_code"):
                raise  # typer's own know what to do
            kinds = {kind.__name__ for kind in type(error).__mro__}  # its module brings torch
            if "VisemixError" in kinds or isinstance(error, OSError):
                say(error)
                raise typer.Exit(WRONG) from None
            say(f"unexpected {type(error).__name__}: {error} (--debug shows where)")
            raise typer.Exit(BROKEN) from None


def say(text: object) -> None:
    """Write a sentence to standard error, after the name of the program."""
    echo(f"visemix: {sentence(text)}", err=True)


def echo(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Write lines to standard output, or error; what in them would steer the terminal stands as its code."""
    stream = sys.stderr if err else sys.stdout
    stream.write(printable_lines(text) + "\n" * nl)
    stream.flush()


def of_one_run(overrides: list[str] | None) -> list[str]:
    """The overrides, checked: a command that trains one run takes none of an experiment's `sweep`.

    Raises:
        VisemixError: an override of `sweep`.
    """
    for override in overrides or []:
        if override.startswith("sweep."):
            from visemix.types import VisemixError

            raise VisemixError(f"{override} says which runs a sweep has, and changes none of them; use visemix sweep")
    return overrides or []


Experiment = Annotated[str, typer.Argument(help="YAML file, or its name in experiments/.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="as in motion.sigma1=2")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]
Options = Annotated[list[str] | None, typer.Option(metavar="PART.KEY=VALUE", help="as in fid.sha256=…")]
Tables = Annotated[list[Path] | None, typer.Option(help="Also write the table: .md, .tex, .csv or .json.")]
Clips = Annotated[Path | None, typer.Option(help="Where a run's clips are now, if they have moved.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file that registers parts.")]
