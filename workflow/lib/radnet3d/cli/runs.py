"""`radnet3d runs`: the record a training run starts from, and whether records agree with params.yaml."""

import json
import logging
from pathlib import Path
from typing import Any

import click

from radnet3d import __version__
from radnet3d.atomic import write_json
from radnet3d.errors import ParamsError, StaleResultError
from radnet3d.params import Params, load_params
from radnet3d.runs import ARM_FACTORS, RUNS, FinetuneSections, make_run, settings_of

log = logging.getLogger(__name__)


@click.group("runs")
def commands() -> None:
    """Write the record a training run starts from; check records."""


@commands.command()
@click.argument("out_path", metavar="OUT.json", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(list(RUNS)), required=True, help="what is trained")
@click.option(
    "--settings", required=True, help="JSON: sections of params.yaml; those the kind does not use are left out"
)
@click.option("--factors", required=True, help="JSON: what distinguishes this run, for example init, n_train, seeds")
@click.option("--inputs", required=True, help="JSON: paths of tables and checkpoints; `rate`: file of choose-rate")
def write(out_path: Path, kind: str, settings: str, factors: str, inputs: str) -> None:
    """Check a run's settings, factors and inputs and write them to OUT.json, all that its training needs."""
    log.info("radnet3d %s runs write", __version__)
    record = make_run(kind, parse(settings, "--settings"), parse(factors, "--factors"), parse(inputs, "--inputs"))
    write_json(out_path, record.model_dump(mode="json"))
    log.info("%s: record of one %s run", out_path, kind)


@commands.command()
@click.argument("results_dir", type=click.Path(path_type=Path))
@click.argument("params_path", metavar="PARAMS", type=click.Path(path_type=Path), default=Path("params.yaml"))
def check(results_dir: Path, params_path: Path) -> None:
    """Refuse if a run's record below RESULTS_DIR holds other settings than PARAMS (params.yaml) does now, or is of another arm.

    The folder of a run that is not wanted any more can be removed.
    """
    log.info("radnet3d %s runs check", __version__)
    from radnet3d.evaluation.collection import check_settings

    params = load_params(params_path)
    records = sorted([*results_dir.glob("pretrain/*/run.json"), *results_dir.glob("finetune/*/*/*/run.json")])
    for path in records:
        content = json.loads(path.read_text(encoding="utf-8"))
        wanted = asked_settings(params, content["kind"], content["factors"], path.parent)
        for section, made_with in content["settings"].items():
            check_settings(path.parent, section, made_with, wanted.get(section))
        for factor, asked in asked_factors(params, content["kind"], content["factors"], path.parent).items():
            check_settings(path.parent, f"factors.{factor}", content["factors"].get(factor), asked)
    log.info("%d records agree with %s", len(records), params_path)


def asked_settings(params: Params, kind: str, factors: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    """Return the settings that a record of this kind and of these factors would hold now.

    Raises StaleResultError if a fine-tuning is of a task or an arm that there is not any more.
    """
    if kind != "finetune":
        return settings_of(RUNS[kind], params.model_dump(mode="json"))
    sections = FinetuneSections(**{name: getattr(params, name) for name in FinetuneSections.model_fields})
    task, init = factors["task"], factors["init"]
    if task not in sections.grids or init not in sections.grids[task].arms:
        raise StaleResultError(f"{run_dir}: a run of task '{task}' and arm '{init}', which params.yaml does not have")
    return sections.settings(task, init)


def asked_factors(params: Params, kind: str, factors: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    """Return what params.yaml says now of the encoder or arm that a record is of.

    Raises StaleResultError if it has no such encoder.
    """
    if kind == "finetune":
        return params.finetune.arms[factors["init"]].model_dump(mode="json", include=set(ARM_FACTORS))
    if kind != "pretrain":
        return {}
    if factors["encoder"] not in params.pretrain.encoders:
        raise StaleResultError(f"{run_dir}: the encoder '{factors['encoder']}', which params.yaml does not have")
    return params.pretrain.encoders[factors["encoder"]].model_dump(mode="json")


def parse(text: str, option: str) -> dict[str, Any]:
    """Return the JSON object given to `option`. Raises ParamsError."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParamsError(f"{option}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ParamsError(f"{option}: found {type(content).__name__}, wanted an object")
    return content
