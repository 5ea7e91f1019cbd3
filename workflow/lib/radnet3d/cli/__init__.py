"""The command line: one module a phase, imported only when its phase is called.

`radnet3d PHASE VERB ...` and `python workflow/lib PHASE VERB ...` are the same program. A phase that needs torch
costs the others nothing, and an environment without torch can run the others.
"""

import importlib
import logging
import sys
import time
from typing import Any

import click

from radnet3d import __version__
from radnet3d.errors import RadnetError

PHASES = {
    "params": "Check and show parameter files.",
    "archive": "Plan, fetch and attribute DICOM series: digital patients, a folder, the IDC, TCIA.",
    "dicom": "Read headers: one row a series, with its geometry.",
    "labels": "Label series from headers or catalogue text; evaluate; census.",
    "volumes": "Resample series to a common grid.",
    "runs": "Write the record a training run starts from.",
    "pretrain": "Train the 3D ResNet on header labels.",
    "liver": "Import liver cases, propose liver slices, segment a series.",
    "finetune": "Split the cases of each task, look for leaks, fine-tune from each initialisation.",
    "features": "Feature vectors of series from a pretrained encoder.",
    "transfer": "Collect runs and compare initialisations.",
    "figures": "Draw the figures from result tables.",
    "report": "Build the HTML pages.",
}


class Phases(click.Group):
    """A group whose subcommands live in `radnet3d.cli.<phase>`, each with a click group named `commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PHASES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in PHASES:
            return None
        if cmd_name == "features":
            return importlib.import_module("radnet3d.cli.features").command  # type: ignore[no-any-return]
        return importlib.import_module(f"radnet3d.cli.{cmd_name}").commands  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Phases"):
            formatter.write_dl(list(PHASES.items()))


@click.group(cls=Phases, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="radnet3d")
def radnet3d() -> None:
    """From an archive of DICOM series to a fair test of pretraining on header labels."""


def main(argv: list[str] | None = None) -> Any:
    """Run the command line; exit 0 on success, 1 on an error the message explains, 2 on wrong usage."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.Formatter.converter = time.gmtime
    try:
        return radnet3d.main(args=argv, prog_name="radnet3d", standalone_mode=True)
    except RadnetError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"error: {error.filename or 'system'}: {error.strerror or error}", err=True)
        sys.exit(1)
