"""`radnet3d params`: check and explain parameter files."""

from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel

from radnet3d.params import Params, load_params


@click.group("params")
def commands() -> None:
    """Check and explain parameter files."""


@commands.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("params.yaml"))
def check(path: Path) -> None:
    """Check PATH (params.yaml if not given); name every wrong key and what is allowed."""
    load_params(path)
    click.echo(f"{path}: valid")


@commands.command("explain")
def explain_keys() -> None:
    """Print what each key means, with its type."""
    for key, kind, meaning in describe(Params):
        click.echo(f"{key}\t{kind}\t{meaning}")


def describe(model: type[BaseModel], prefix: str = "") -> list[tuple[str, str, str]]:
    """Return (dotted key, type, meaning) of every value below `model`."""
    rows: list[tuple[str, str, str]] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            rows += describe(kind, f"{prefix}{name}.")
        else:
            shown = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
            rows.append((prefix + name, shown, field.description or (model.__doc__ or "").splitlines()[0]))
    return rows
