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
from radnet3d.arms import FIRST
from radnet3d.errors import ParamsError
from radnet3d.params import TaskCases, check_params
from radnet3d.provenance import code_digest, source_digest
from radnet3d.runs import ARM_FACTORS, RUNS, FinetuneSections
from radnet3d.vocabulary import TASK_CLASSES

lock.release_if_stale()

try:
    PARAMS = check_params(config, name=" + ".join(map(str, workflow.configfiles)))
except ParamsError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    shard=r"\d{3}",
    encoder="|".join(PARAMS.pretrain.encoders),
    task="|".join(("liver", *TASK_CLASSES)),
    init="|".join(PARAMS.finetune.arms),
    n_train=r"\d\d\d+",
    subset_seed=r"\d+",
    init_seed=r"\d+",
    learning_rate=r"[0-9.e-]+",
    baseline="regex|body-part-examined",
    labeller="rules|regex|body-part-examined",


SHARDS = [f"{number:03d}" for number in range(PARAMS.archive.n_shards)]
TARGETS = {}
"""What each phase has to make; filled beside its rules."""

PROPOSER = f"results/pretrain/dicom_seed-{PARAMS.finetune.tune.init_seed}/checkpoint.pt"
"""The pretrained network that proposes the liver's slices, the same for every arm."""

FINETUNING = FinetuneSections.model_validate(PARAMS.model_dump(include=set(FinetuneSections.model_fields)))
"""What all fine-tuning runs are made from."""
GRIDS = FINETUNING.grids
"""The section finetune as each task has it."""

FIRST_ARMS = [init for init in FIRST if init in PARAMS.finetune.arms]
"""Of the arms of every study those that are here: what they start from is as different as can be."""

RUN_DIR = "results/finetune/runs/liver/init-{init}_ntrain-{n_train:03d}_subset-{subset_seed}_seed-{init_seed}"
RUN_DIRS = [
    RUN_DIR.replace("liver", task).format(**cell._asdict()) for task, grid in GRIDS.items() for cell in grid.cells()
]
"""The runs of the liver; of all tasks."""


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


def proposer_settings(sections, study):
    """Return what a proposer is made by: sections, and parts of section proposal_study beside them; JSON."""
    content = PARAMS.model_dump(mode="json", include={*sections, "proposal_study"})
    parts = content.pop("proposal_study")
    return json.dumps({**content, **{name: parts[name] for name in study}})


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


def encoder_file(init, init_seed):
    """Return the file that an arm's encoder starts from, as an entry of its inputs; none for random weights."""
    encoder = PARAMS.finetune.arms[init].encoder
    if encoder is None:
        return {}
    if encoder == "medicalnet":
        return {"encoder": PARAMS.medicalnet.weights}
    return {"encoder": f"results/pretrain/{encoder}_seed-{init_seed}/checkpoint.pt"}


def finetune_factors(task, init, **cell):
    """Return what the record of a run says of its task, of its arm and of its place in the grid; JSON."""
    arm = GRIDS[task].arms[init].model_dump(include=set(ARM_FACTORS))
    return json.dumps({"task": task, "init": init, **arm, **cell})


def finetune_inputs(task, init, init_seed):
    """Return the files a fine-tuning run reads, as its record names them."""
    shared = {
        "split": f"results/finetune/split/{task}/split.csv",
        "subsets": f"results/finetune/split/{task}/subsets.csv",
        **encoder_file(init, init_seed),
    }
    if task != "liver":
        return {"cases": f"results/finetune/split/{task}/cases.csv", **shared}
    return {
        "cases": "results/liver/cases/cases.parquet",
        "proposals": "results/liver/proposals.csv",
        "proposer": PROPOSER,
        **shared,
    }


def finetune_files(task, init, init_seed):
    """Return the same files as inputs, with the arrays: the folder of liver cases, or all volumes."""
    files = finetune_inputs(task, init, init_seed)
    if task == "liver":
        return {**files, "cases": "results/liver/cases"}
    return {**files, "volumes": [f"results/volumes/{shard}" for shard in SHARDS]}


def labels_of_task(task):
    """Return the file with the labels of a classification."""
    labels = PARAMS.tasks[task].labels
    return "results/raw/truth.parquet" if labels == "truth" else labels


def tuning_files(wildcards):
    """Return the inputs of a tuning run."""
    return finetune_files(wildcards.task, wildcards.init, GRIDS[wildcards.task].tune.init_seed)


def is_whole_run():
    """Return whether this run made everything, and Snakemake knows of every file how it was made."""
    if workflow.touch or not set(workflow.dag_settings.targets) <= {"all"}:
        return False
    return all(workflow.persistence.has_metadata(job) for job in workflow.dag.jobs if job.output)
