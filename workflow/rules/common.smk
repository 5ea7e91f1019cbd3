"""What all rules share: checked parameters, the experiment's factors, and what each phase has to make."""

import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow/lib"))
# A job without an environment of its own runs in Snakemake's, whether that is activated or not.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))

import snakemake_lock as lock
from radnet3d.errors import ParamsError
from radnet3d.params import check_params
from radnet3d.provenance import code_digest, source_digest
from radnet3d.runs import RUNS

lock.release_if_stale()

try:
    PARAMS = check_params(config, name=" + ".join(map(str, workflow.configfiles)))
except ParamsError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    shard=r"\d{3}",
    encoder="dicom|shuffled",
    init="|".join(PARAMS.finetune.inits),
    n_train=r"\d\d\d+",
    subset_seed=r"\d+",
    init_seed=r"\d+",
    learning_rate=r"[0-9.e-]+",
    baseline="regex|body-part-examined",
    labeller="rules|regex|body-part-examined",


SHARDS = [f"{number:03d}" for number in range(PARAMS.archive.n_shards)]
TARGETS = {}
"""What each phase has to make; filled beside its rules."""

CHECKPOINTS = {
    "pretrained": "results/pretrain/dicom/checkpoint.pt",
    "shuffled": "results/pretrain/shuffled/checkpoint.pt",
    "control": "results/pretrain/control/checkpoint.pt",
}
"""Which encoder each initialisation starts from; scratch starts from none."""

RUN_DIR = "results/finetune/runs/init-{init}_ntrain-{n_train:03d}_subset-{subset_seed}_seed-{init_seed}"
RUN_DIRS = expand(
    RUN_DIR,
    init=PARAMS.finetune.inits,
    n_train=PARAMS.finetune.n_train,
    subset_seed=PARAMS.finetune.subset_seeds,
    init_seed=PARAMS.finetune.init_seeds,
)


FOLDER_FILES = "results/raw/files.parquet"
"""The files of the source `folder`, with their series."""


def state_of_folder(wildcards):
    """Return what changes whenever a file of the source `folder` does; of other sources nothing."""
    if PARAMS.archive.source != "folder":
        return ""
    from radnet3d.archive.folder import folder_state

    return folder_state(Path(PARAMS.archive.folder.dir), Path(FOLDER_FILES))


def section(*names):
    """Return sections of params.yaml as a command takes them: one alone, several by name; JSON."""
    if len(names) == 1:
        return getattr(PARAMS, names[0]).model_dump_json()
    return PARAMS.model_dump_json(include=set(names))


def run_settings(kind):
    """Return what the record of a run of this kind holds of params.yaml, and no more; JSON.

    The grid of runs is not in it, so that a size or a seed added to the grid leaves all other runs alone.
    """
    sections = RUNS[kind].model_fields["settings"].annotation.model_fields
    return json.dumps(
        {
            name: getattr(PARAMS, name).model_dump(mode="json", include=set(field.annotation.model_fields))
            for name, field in sections.items()
        }
    )


def sources(*names):
    """Return the options that tell a figure where its data come from."""
    return " ".join(f"--source {name}" for name in sorted(set(names)))


def finetune_inputs(init):
    """Return the files a fine-tuning run reads, as its record names them."""
    return {
        "cases": "results/liver/cases/cases.parquet",
        "split": "results/finetune/split/split.csv",
        "subsets": "results/finetune/split/subsets.csv",
        "proposals": "results/liver/proposals.csv",
        "proposer": CHECKPOINTS["pretrained"],
        **({} if init == "scratch" else {"encoder": CHECKPOINTS[init]}),
    }


def finetune_files(init):
    """Return the same files as inputs, the folder of cases as a whole."""
    return {**finetune_inputs(init), "cases": "results/liver/cases"}


def is_whole_run():
    """Return whether this run made everything, and Snakemake knows of every file how it was made."""
    if workflow.touch or not set(workflow.dag_settings.targets) <= {"all"}:
        return False
    return all(workflow.persistence.has_metadata(job) for job in workflow.dag.jobs if job.output)
