"""The command line. Heavy imports wait inside the commands: `visemix --help` must not load torch."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

SOME_FAILED, WRONG, BROKEN, STOPPED = 1, 2, 3, 130  # part of a batch; the user's to put right; ours; Ctrl-C


class Commands(TyperGroup):
    """Says errors in one sentence; `--debug`, anywhere on the line, shows where they come from."""

    debug = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        self.debug = "--debug" in args
        return super().parse_args(ctx, [arg for arg in args if arg != "--debug"])

    def invoke(self, ctx: Any) -> Any:
        logging.basicConfig(format="%(message)s", level=logging.INFO if self.debug else logging.WARNING)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            self.say("stopped; nothing half-written is left, and the same command goes on from here")
            raise typer.Exit(STOPPED) from None
        except Exception as error:
            if self.debug or isinstance(error, (typer.Abort, BrokenPipeError)) or hasattr(error, "exit_code"):
                raise  # typer's own know what to do
            if type(error).__name__ == "VisemixError" or isinstance(error, OSError):
                self.say(str(error))
                raise typer.Exit(WRONG) from None
            self.say(f"unexpected {type(error).__name__}: {error} (--debug shows where)")
            raise typer.Exit(BROKEN) from None

    def say(self, sentence: str) -> None:
        typer.echo(f"visemix: {sentence}", err=True)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
Experiment = Annotated[str, typer.Argument(help="YAML file, or its name in experiments/.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="as in motion.sigma1=2")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file that registers parts.")]


@app.callback()
def main(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """Audio-driven talking faces in parts that fit each other."""


@app.command()
def prepare(
    videos: Annotated[list[Path], typer.Argument(help="Video files.")],
    out: Annotated[Path, typer.Option(help="Folder for the clips, one folder each.")],
    face: Annotated[str, typer.Option(help="Face model to fit.")] = "ict",
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 512,
    jobs: Annotated[int, typer.Option(help="Videos at a time.")] = 1,
    scene: Annotated[
        str, typer.Option(help="Who tells head, torso and background apart; none leaves it.")
    ] = "mediapipe",
    overwrite: Overwrite = False,
    plugin: Plugins = None,
) -> None:
    """Turn videos into clips: 25 frames and 16 000 samples a second, a square crop, a fitted face in every frame."""
    from visemix.config import part
    from visemix.data.prepare import prepare

    made = prepare(
        videos,
        out,
        face=part("face", face),
        size=size,
        jobs=jobs,
        scene=None if scene == "none" else part("scene", scene),
        overwrite=overwrite,
        plugins=[str(path) for path in plugin or []],
    )
    raise typer.Exit(made.exit_code)


@app.command()
def fit(experiment: Experiment, overrides: Overrides = None) -> None:
    """Train what an experiment needs and its run lacks. The last line printed is the run's folder."""
    from visemix.ops.device import keep_memory
    from visemix.run import fit, load_experiment

    keep_memory()
    typer.echo(fit(load_experiment(experiment, overrides or [])))


@app.command()
def generate(
    run: Annotated[Path, typer.Argument(help="Run folder that fit printed, or its model.safetensors.")],
    audio: Annotated[Path, typer.Option(help="Speech: any sound or video file.")],
    target: Annotated[Path, typer.Option(help="Who says it: a prepared clip, or a video.")],
    out: Annotated[Path, typer.Option(help="The video to write, .mp4.")],
    overwrite: Overwrite = False,
    style: Annotated[str | None, typer.Option(help="Speak in the manner of this training speaker.")] = None,
    start: Annotated[float, typer.Option(help="Seconds into the target to begin at.")] = 0.0,
    batch: Annotated[int, typer.Option(help="Frames painted at a time.", min=1)] = 4,
    size: Annotated[int, typer.Option(help="Pixels a side, where the target is a video.")] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    plugin: Plugins = None,
) -> None:
    """Make the target say what is heard."""
    from visemix.generation import generate

    made = generate(
        run,
        audio,
        target,
        out,
        overwrite=overwrite,
        style=style,
        start=start,
        batch=batch,
        size=size,
        device=device,
        plugins=plugin or [],
    )
    typer.echo(made)


@app.command()
def evaluate(
    real: Annotated[Path, typer.Argument(help="Video, clip, or folder of them.")],
    fake: Annotated[Path, typer.Argument(help="The same, generated.")],
    metrics: Annotated[str | None, typer.Option(help="Names with commas between; by default all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Score a generated video beside the real one."""
    from rich.console import Console

    from visemix.evaluation import evaluate, table

    named = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    Console().print(table(evaluate(real, fake, named, out, overwrite=overwrite)))


@app.command()
def sweep(
    experiment: Experiment,
    overrides: Overrides = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time; they share the cores.", min=1)] = 1,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
) -> None:
    """Train every point of an experiment's sweep that is missing. One line a point: its run's folder."""
    from visemix.sweep import sweep

    outcomes = sweep(experiment, overrides or [], jobs=jobs, engine=engine)
    for outcome in outcomes:
        typer.echo(f"{outcome.folder or '-'}\t{outcome.cell.row} seed={outcome.cell.seed}\t{outcome.reason}")
    raise typer.Exit(SOME_FAILED if any(outcome.folder is None for outcome in outcomes) else 0)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for demo.mp4 and report.html.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Other speakers, other training.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """See it work: a few minutes, nothing to download. The last line printed is the page to open."""
    from visemix.demo import demo

    typer.echo(demo(out, seed=seed, overwrite=overwrite))


@app.command()
def parts(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, plugin: Plugins = None
) -> None:
    """Every part that can be picked, and its options with their defaults."""
    import json

    from visemix.catalogue import catalogue, pages
    from visemix.registry import load_file

    for path in plugin or []:
        load_file(path)
    typer.echo(json.dumps(catalogue(), indent=1) if as_json else pages(catalogue()))


@app.command()
def show(experiment: Experiment, overrides: Overrides = None) -> None:
    """The complete config of an experiment, and under `#` the folder of its run."""
    from omegaconf import OmegaConf

    from visemix.run import folder_of, load_experiment

    cfg = load_experiment(experiment, overrides or [])
    typer.echo(f"# {folder_of(cfg)}\n{OmegaConf.to_yaml(cfg)}", nl=False)


@app.command()
def doctor() -> None:
    """What is installed, and what is missing for what."""
    from visemix.catalogue import checks

    for good, line in checks():
        typer.echo(f"{'ok' if good else '--':3} {line}")


if __name__ == "__main__":
    sys.exit(app())
