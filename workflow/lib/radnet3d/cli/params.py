"""`radnet3d params`: check and explain parameter files."""

from pathlib import Path
from typing import Any, get_args, get_origin

import click
import yaml
from pydantic import BaseModel

from radnet3d.params import Params, check_params, load_params


@click.group("params")
def commands() -> None:
    """Check and explain parameter files."""


@commands.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("params.yaml"))
def check(path: Path) -> None:
    """Check PATH (params.yaml if not given); name every wrong key and what is allowed."""
    load_params(path)
    click.echo(f"{path}: valid")


@commands.command("section")
@click.argument("name", type=click.Choice(list(Params.model_fields)))
@click.argument("path", type=click.Path(path_type=Path), default=Path("params.yaml"))
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="change a value of the section; repeatable")
def show_section(name: str, path: Path, changes: tuple[str, ...]) -> None:
    """Print section NAME of PATH (params.yaml if not given) as JSON: what --settings of a command takes.

    A KEY of --set is as in the file, its parts joined by dots, and the VALUE is YAML: --set choice.collections=[tcga_read]
    """
    content = load_params(path).model_dump(mode="json")
    for change in changes:
        set_value(content[name], change)
    click.echo(getattr(check_params(content, name=f"{path} with --set"), name).model_dump_json())


def set_value(content: dict[str, Any], change: str) -> None:
    """Change one value of a section in place; `change`: 'a.b=VALUE'. Raises click.BadParameter if it has no such key."""
    key, equals, value = change.partition("=")
    *parents, last = key.split(".")
    for part in parents:
        content = content.get(part) if isinstance(content, dict) else None  # type: ignore[assignment]
    if not equals or not isinstance(content, dict) or last not in content:
        raise click.BadParameter(f"{change!r}, wanted KEY=VALUE with a key of the section", param_hint="--set")
    content[last] = yaml.safe_load(value)


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
        named = get_args(kind)[1] if get_origin(kind) is dict else None  # sections that the user names
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            rows += describe(kind, f"{prefix}{name}.")
        elif isinstance(named, type) and issubclass(named, BaseModel):
            rows += describe(named, f"{prefix}{name}.NAME.")
        else:
            shown = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
            rows.append((prefix + name, shown, field.description or (model.__doc__ or "").splitlines()[0]))
    return rows
