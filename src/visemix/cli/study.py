"""The command line's `study`: pages that ask people, and tables of what they answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from visemix.cli.options import Overwrite, Tables, echo


class Study(TyperGroup):
    """Command group whose default is `make`: a first word that is no command is a folder of its videos."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments left once the options are parsed, `make` before them where they name no command."""
        plain = args and args[0] not in self.commands and args[0] not in ("--help", "-h")
        return super().parse_args(ctx, ["make", *args] if plain else args)


study = typer.Typer(cls=Study, no_args_is_help=True, rich_markup_mode=None)


@study.command("make")
def make_study(
    methods: Annotated[list[str], typer.Argument(metavar="[NAME=]FOLDER...", help="Videos of each method, or a run.")],
    out: Annotated[Path, typer.Option(help="Folder for study.html and key.json.")],
    protocol: Annotated[str, typer.Option(help="mos (1 to 5) or gsmoothface (-2 to 2).")] = "mos",
    seed: Annotated[int | None, typer.Option(help="For a study that comes out the same again.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """A page of shuffled videos without names for raters, and the key to keep. `make` may be left out."""
    from visemix.study import make_study

    echo(make_study(methods, out, protocol=protocol, seed=seed, overwrite=overwrite))


@study.command("score")
def score_study(
    answers: Annotated[list[Path], typer.Argument(help="CSV files that raters saved.")],
    key: Annotated[Path, typer.Option(help="The study's key.json.")],
    table: Tables = None,
    overwrite: Overwrite = False,
) -> None:
    """The table of a study from its raters' answers."""
    from visemix.report.formats import check_files, markdown, write_tables
    from visemix.study import score_study

    check_files(table or [], overwrite)
    found = score_study(answers, key)
    echo(markdown(found), nl=False)
    write_tables(table or [], found)
