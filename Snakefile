"""Which file comes from which: from an archive of DICOM series to a fair test of pretraining on header labels.

`snakemake --cores all` makes everything, `snakemake --cores all labels` one phase and what it needs; `--list` names all.
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: "params.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/archive.smk"
include: "workflow/rules/dicom.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/volumes.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/proposals.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    """Everything, ending in reports/index.html."""
    default_target: True
    input:
        [path for phase, paths in TARGETS.items() if phase != "archive" for path in paths],  # fetched files may be gone


for phase, paths in TARGETS.items():

    rule:
        """All results of the phase of this name, and what they need."""
        name:
            phase
        input:
            paths,


onstart:
    lock.claim()


onsuccess:
    if is_whole_run():
        shell("workflow/finish")
