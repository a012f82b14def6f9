"""The `moedsr` command: a table of commands whose modules are imported only when they run.

`moedsr --help` must answer in under half a second, so nothing heavy is imported here, and the one-line
summaries stand in the table instead of in the commands' modules.
"""

import difflib
import importlib
import sys
import traceback
from typing import Any, NamedTuple, NoReturn

import click

from moedsr import __version__
from moedsr.errors import InputError, InterruptedJobError, JobError
from moedsr_platform.interruption import clear_away


class Entry(NamedTuple):
    """One command: where it lives, and what it does in one line."""

    target: str
    summary: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Data and training": {
        "data": Entry("moedsr_platform.cli.data:data", "Prepare and check surface stores."),
        "train": Entry("moedsr_platform.cli.train:train", "Train one model, as a sweep of a single trial."),
        "sweep": Entry("moedsr_platform.cli.sweep:sweep", "Search hyperparameters: Ray Tune + Optuna, tracked."),
        "submit": Entry("moedsr_platform.cli.submit:submit", "Run a sweep as a job on a Ray cluster."),
    },
    "Results": {
        "evaluate": Entry("moedsr_platform.cli.evaluate:evaluate", "Score a model beside the baselines."),
        "report": Entry("moedsr_platform.cli.report:report", "Tables and figures of a sweep, from its tracked runs."),
        "promote": Entry("moedsr_platform.cli.promote:promote", "Give a registered model an alias (champion)."),
        "predict": Entry(
            "moedsr_platform.cli.predict:predict", "Surfaces of a structure over time, as meshes or HTML."
        ),
    },
    "Environment": {
        "ui": Entry("moedsr_platform.cli.ui:ui", "Open the MLflow UI on the tracking store in use."),
        "sync": Entry("moedsr_platform.cli.sync:sync", "Send what the tracking server has not got yet."),
        "doctor": Entry("moedsr_platform.cli.doctor:doctor", "What works here, and what to do where it does not."),
    },
}
COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

AT_ONCE = ("sweep", "train")
"""Commands that a signal may cut off at any moment before they hear it themselves: they have no files to clear away."""

EXAMPLES = """\b
Typical use:
  moedsr sweep sweeps/quickstart.yaml          train and compare several models
  moedsr ui                                    look at every run in a browser
  moedsr promote moe-dsr --alias champion      choose the best one
  moedsr predict models:/moe-dsr@champion FILE.pdb --times -1:1:5 --out DIR

\b
MODEL is a registry URI (models:/moe-dsr@champion), an MLflow run id, or a checkpoint directory.
`moedsr COMMAND --help` explains each command.
"""


class Failure(click.ClickException):
    """One line on stderr; exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"moedsr: {self.message}", err=True, file=file)


class WrongInput(Failure):
    """The same with exit code 2: what the user gave is at fault."""

    exit_code = 2


class InOrder(click.Group):
    """A group that lists its commands in the order in which they are used, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class CommandTable(click.Group):
    """A click group over ``COMMANDS`` that turns exceptions into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" (did you mean `{close[0]}`?)" if close else ""
            raise InputError(f"unknown command `{args[0]}`{hint}; commands: {', '.join(COMMANDS)}")
        found = super().resolve_command(ctx, args)
        if found[0] not in AT_ONCE:
            clear_away()  # the command has its modules
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in section.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "moedsr"
            raise WrongInput(f"{error.format_message()} See `{where} --help`.") from error
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            _explain(InterruptedJobError("interrupted", *error.args), debug=False)
        except Exception as error:
            _explain(error, debug=ctx.params["debug"])


def _explain(error: Exception, *, debug: bool) -> NoReturn:
    """Raises ``Failure``: exit 2 for wrong input, 1 for a failed job or an error of our own; or exits for a signal."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    message = " ".join(str(error).split())
    if isinstance(error, InputError):
        raise WrongInput(message) from error
    if isinstance(error, InterruptedJobError):
        Failure(message).show()
        raise click.exceptions.Exit(128 + error.number) from error
    if isinstance(error, JobError):
        raise Failure(message) from error
    hint = "" if debug else "; run again with `moedsr --debug …` for the traceback"
    raise Failure(f"{type(error).__name__}: {message[:300]}{hint}") from error


@click.group(
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EXAMPLES,
)
@click.version_option(__version__, message="moedsr %(version)s")
@click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
def main(debug: bool) -> None:
    """MoE-DSR: time-varying protein surfaces from one structure, and the platform that sweeps such models."""
