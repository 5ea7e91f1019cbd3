"""Ways to find the liver's slices, compared on test cases and on segmenters that are already trained."""

PROPOSAL_CELLS = [
    cell
    for cell in PARAMS.finetune.cells()
    if cell.init in PARAMS.proposal_study.arms and cell.n_train in PARAMS.proposal_study.n_train
]
PROPOSAL_RUN_DIRS = [RUN_DIR.format(**cell._asdict()) for cell in PROPOSAL_CELLS]
PROPOSER_DIRS = [
    "results/proposals/coverage",
    *(
        f"results/proposals/classifier_ntrain-{n_train:03d}_subset-{subset_seed}"
        for n_train, subset_seed in sorted({(cell.n_train, cell.subset_seed) for cell in PROPOSAL_CELLS})
    ),
]

TARGETS["proposals"] = ["results/transfer/proposals.csv"]


rule study_coverage:
    """Propose slices of the test cases by the pretrained coverage head: as it is used, and as chosen on validation cases."""
    input:
        cases="results/liver/cases",
        split="results/finetune/split/liver/split.csv",
        checkpoint=PROPOSER,
    output:
        proposed="results/proposals/coverage/proposed.csv",
        scores="results/proposals/coverage/scores.csv",
    log:
        "results/logs/study_coverage.log",
    benchmark:
        "results/benchmarks/study_coverage.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2500,
    params:
        cases="results/liver/cases/cases.parquet",
        out_dir=subpath(output.proposed, parent=True),
        settings=proposer_settings(["proposal"], ["choice"]),
        code=code_digest("liver study-coverage"),
    shell:
        """
        python workflow/lib liver study-coverage {params.cases:q} {input.split:q} {params.out_dir:q} \
            --checkpoint {input.checkpoint:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule study_classifier:
    """Train a classifier of slices on one training set, and propose slices of the test cases by it."""
    input:
        cases="results/liver/cases",
        split="results/finetune/split/liver/split.csv",
        subsets="results/finetune/split/liver/subsets.csv",
        leakage="results/finetune/split/liver/leakage.csv",
    output:
        proposed="results/proposals/classifier_ntrain-{n_train}_subset-{subset_seed}/proposed.csv",
        scores="results/proposals/classifier_ntrain-{n_train}_subset-{subset_seed}/scores.csv",
        history="results/proposals/classifier_ntrain-{n_train}_subset-{subset_seed}/history.csv",
    log:
        "results/logs/study_classifier/ntrain-{n_train}_subset-{subset_seed}.log",
    benchmark:
        "results/benchmarks/study_classifier/ntrain-{n_train}_subset-{subset_seed}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2500,
    params:
        cases="results/liver/cases/cases.parquet",
        out_dir=subpath(output.proposed, parent=True),
        n_train=lambda wildcards: int(wildcards.n_train),
        settings=proposer_settings(["volumes", "input"], ["classifier", "choice"]),
        code=code_digest("liver study-classifier"),
    shell:
        """
        python workflow/lib liver study-classifier {params.cases:q} {input.split:q} {input.subsets:q} {params.out_dir:q} \
            --n-train {params.n_train} \
            --subset-seed {wildcards.subset_seed} \
            --settings {params.settings:q} 2>{log:q}
        """


rule study_segmenters:
    """Segment the test cases by trained segmenters, under every way to find their slices."""
    input:
        cases="results/liver/cases",
        split="results/finetune/split/liver/split.csv",
        proposed=[f"{folder}/proposed.csv" for folder in PROPOSER_DIRS],
        runs=[f"{run_dir}/run.json" for run_dir in PROPOSAL_RUN_DIRS],
        checkpoints=[f"{run_dir}/checkpoint.pt" for run_dir in PROPOSAL_RUN_DIRS],
    output:
        cases="results/proposals/cases.csv",
    log:
        "results/logs/study_segmenters.log",
    benchmark:
        "results/benchmarks/study_segmenters.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2500,
    params:
        cases="results/liver/cases/cases.parquet",
        run_dirs=PROPOSAL_RUN_DIRS,
        proposed=[f"--proposed {folder}/proposed.csv" for folder in PROPOSER_DIRS],
        code=code_digest("liver study-segmenters"),
    shell:
        """
        python workflow/lib liver study-segmenters {params.cases:q} {input.split:q} {params.run_dirs:q} {output.cases:q} \
            {params.proposed} 2>{log:q}
        """


rule compare_proposals:
    """Sum up what each way to find the liver's slices finds, costs, and does to Dice."""
    input:
        cases="results/proposals/cases.csv",
    output:
        study="results/transfer/proposals.csv",
    log:
        "results/logs/compare_proposals.log",
    benchmark:
        "results/benchmarks/compare_proposals.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        settings=section("comparison"),
        code=code_digest("transfer compare-proposals"),
    shell:
        """
        python workflow/lib transfer compare-proposals {input.cases:q} {output.study:q} \
            --settings {params.settings:q} 2>{log:q}
        """
