"""Figures. Each is drawn from a table that stays; its caption lies in workflow/report."""

from radnet3d.arms import ablated_arms, other_arms, study_of

SHOWN_SIZE = max(
    PARAMS.finetune.n_train,
    key=lambda n: (sum(n in PARAMS.finetune.sizes_of(init) for init in FIRST_ARMS), n),
)
SHOWN_RUN_DIRS = [
    RUN_DIR.format(
        init=init,
        n_train=SHOWN_SIZE,
        subset_seed=0,
        init_seed=PARAMS.finetune.seeds_of(init)[0],
    )
    for init in FIRST_ARMS
    if SHOWN_SIZE in PARAMS.finetune.sizes_of(init)
]
"""One run of each arm whose masks are shown, at the largest size that most of them have."""

FIGURES = [
    "results/figures/contact_sheet.png",
    "results/figures/label_accuracy.svg",
    "results/figures/census.svg",
    "results/figures/curves.svg",
    "results/figures/heads.svg",
    "results/figures/proposals.svg",
    "results/figures/proposal_study.svg",
    "results/figures/overlays.png",
    "results/figures/dice.svg",
    "results/figures/differences.svg",
    "results/figures/labels_saved.svg",
    *(["results/figures/ablation.svg"] if ablated_arms(study_of(PARAMS)) else []),
    *(["results/figures/other_arms.svg"] if other_arms(PARAMS.finetune) else []),
    *(["results/figures/tasks.svg"] if PARAMS.tasks else []),
]
"""Those that these arms and tasks give."""

LABEL_FIGURES = [
    "results/figures/label_accuracy.svg",
    "results/figures/census.svg",
    "results/figures/rated.svg",
    "results/figures/witnesses.svg",
    "results/figures/funnel.svg",
]


rule draw_contact_sheet:
    """Show central slices of resampled volumes with their labels."""
    input:
        labels="results/labels/labels.parquet",
        volumes=expand("results/volumes/{shard}", shard=SHARDS),
    output:
        figure=report(
            "results/figures/contact_sheet.png",
            caption="../report/contact_sheet.rst",
            category="Archive",
        ),
    log:
        "results/logs/draw_contact_sheet.log",
    benchmark:
        "results/benchmarks/draw_contact_sheet.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("input"),
        sources=sources(PARAMS.archive.source),
        code=code_digest("figures contact-sheet"),
    shell:
        """
        python workflow/lib figures contact-sheet {input.labels:q} {input.volumes:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_label_accuracy:
    """Show precision, coverage and over-answering of each head's labels."""
    input:
        accuracy="results/labels/accuracy.csv",
    output:
        figure=report(
            "results/figures/label_accuracy.svg",
            caption="../report/label_accuracy.rst",
            category="Labels",
        ),
    log:
        "results/logs/draw_label_accuracy.log",
    benchmark:
        "results/benchmarks/draw_label_accuracy.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        sources=sources(PARAMS.archive.source),
        code=code_digest("figures label-accuracy"),
    shell:
        """
        python workflow/lib figures label-accuracy {input.accuracy:q} {output.figure:q} \
            {params.sources} 2>{log:q}
        """


rule draw_census:
    """Show how much of the catalogue each head answers, by modality."""
    input:
        census="results/labels/census_index/census.csv",
    output:
        figure=report(
            "results/figures/census.svg",
            caption="../report/census.rst",
            category="Labels",
        ),
    log:
        "results/logs/draw_census.log",
    benchmark:
        "results/benchmarks/draw_census.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        sources=sources("idc"),
        code=code_digest("figures census"),
    shell:
        """
        python workflow/lib figures census {input.census:q} {output.figure:q} \
            {params.sources} 2>{log:q}
        """


rule draw_rated:
    """Show how our rules and others do on rated real series."""
    input:
        scores=expand("results/labels/gold/{labeller}.csv", labeller=LABELLERS),
    output:
        figure=report(
            "results/figures/rated.svg",
            caption="../report/rated.rst",
            category="Labels",
        ),
    log:
        "results/logs/draw_rated.log",
    benchmark:
        "results/benchmarks/draw_rated.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        sources=sources("idc"),
        code=code_digest("figures rated"),
    shell:
        """
        python workflow/lib figures rated {input.scores:q} {output.figure:q} \
            {params.sources} 2>{log:q}
        """


rule draw_witnesses:
    """Show what decided each head of the catalogue's labels."""
    input:
        use="results/labels/census_index/witness_use.csv",
    output:
        figure=report(
            "results/figures/witnesses.svg",
            caption="../report/witnesses.rst",
            category="Labels",
        ),
    log:
        "results/logs/draw_witnesses.log",
    benchmark:
        "results/benchmarks/draw_witnesses.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        sources=sources("idc"),
        code=code_digest("figures witnesses"),
    shell:
        """
        python workflow/lib figures witnesses {input.use:q} {output.figure:q} \
            {params.sources} 2>{log:q}
        """


rule draw_funnel:
    """Show what of the catalogue could be pretrained on."""
    input:
        funnel="results/labels/census_index/funnel.csv",
    output:
        figure=report(
            "results/figures/funnel.svg",
            caption="../report/funnel.rst",
            category="Labels",
        ),
    log:
        "results/logs/draw_funnel.log",
    benchmark:
        "results/benchmarks/draw_funnel.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        sources=sources("idc"),
        code=code_digest("figures funnel"),
    shell:
        """
        python workflow/lib figures funnel {input.funnel:q} {output.figure:q} \
            {params.sources} 2>{log:q}
        """


rule draw_curves:
    """Show the learning curves of pretraining."""
    input:
        histories=[f"{folder}/history.csv" for folder in ENCODER_DIRS],
    output:
        figure=report(
            "results/figures/curves.svg",
            caption="../report/curves.rst",
            category="Pretraining",
        ),
    log:
        "results/logs/draw_curves.log",
    benchmark:
        "results/benchmarks/draw_curves.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain"),
        sources=sources(PARAMS.archive.source),
        code=code_digest("figures curves"),
    shell:
        """
        python workflow/lib figures curves {input.histories:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_heads:
    """Show the scores of each pretraining head against chance."""
    input:
        heads=[f"{folder}/heads.csv" for folder in ENCODER_DIRS],
    output:
        figure=report(
            "results/figures/heads.svg",
            caption="../report/heads.rst",
            category="Pretraining",
        ),
    log:
        "results/logs/draw_heads.log",
    benchmark:
        "results/benchmarks/draw_heads.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain"),
        sources=sources(PARAMS.archive.source),
        code=code_digest("figures heads"),
    shell:
        """
        python workflow/lib figures heads {input.heads:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_proposals:
    """Show proposed and true liver slices of each case."""
    input:
        proposals="results/liver/proposals.csv",
        cases="results/liver/cases",
    output:
        figure=report(
            "results/figures/proposals.svg",
            caption="../report/proposals.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_proposals.log",
    benchmark:
        "results/benchmarks/draw_proposals.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures proposals"),
    shell:
        """
        python workflow/lib figures proposals {input.proposals:q} {input.cases:q}/cases.parquet {output.figure:q} \
            {params.sources} 2>{log:q}
        """


rule draw_proposal_study:
    """Show what each way to find the liver's slices misses, proposes too much, and does to Dice."""
    input:
        study="results/transfer/proposals.csv",
        scores=[f"{folder}/scores.csv" for folder in PROPOSER_DIRS],
    output:
        figure=report(
            "results/figures/proposal_study.svg",
            caption="../report/proposal_study.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_proposal_study.log",
    benchmark:
        "results/benchmarks/draw_proposal_study.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain", "finetune", "comparison"),
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures proposal-study"),
    shell:
        """
        python workflow/lib figures proposal-study {input.study:q} {input.scores:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_overlays:
    """Show the best, median and worst test case of each initialisation, at one training-set size."""
    input:
        cases="results/liver/cases",
        runs=[f"{run_dir}/checkpoint.pt" for run_dir in SHOWN_RUN_DIRS],
        scores=[f"{run_dir}/cases.csv" for run_dir in SHOWN_RUN_DIRS],
    output:
        figure=report(
            "results/figures/overlays.png",
            caption="../report/overlays.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_overlays.log",
    benchmark:
        "results/benchmarks/draw_overlays.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        run_dirs=SHOWN_RUN_DIRS,
        settings=section("pretrain", "finetune", "comparison", "input"),
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures overlays"),
    shell:
        """
        python workflow/lib figures overlays {input.cases:q}/cases.parquet {params.run_dirs:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_dice:
    """Show Dice per case against training-set size, a line an arm with most sizes."""
    input:
        comparison="results/transfer/comparison.csv",
        runs="results/transfer/runs.csv",
    output:
        figure=report(
            "results/figures/dice.svg",
            caption="../report/dice.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_dice.log",
    benchmark:
        "results/benchmarks/draw_dice.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain", "finetune", "comparison"),
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures dice"),
    shell:
        """
        python workflow/lib figures dice {input.comparison:q} {input.runs:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_differences:
    """Show paired differences of arms with several sizes, with intervals and margin."""
    input:
        comparison="results/transfer/comparison.csv",
    output:
        figure=report(
            "results/figures/differences.svg",
            caption="../report/differences.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_differences.log",
    benchmark:
        "results/benchmarks/draw_differences.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain", "finetune", "comparison"),
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures differences"),
    shell:
        """
        python workflow/lib figures differences {input.comparison:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_labels_saved:
    """Show how many cases the arm from scratch needs to reach what others reach with n."""
    input:
        saved="results/transfer/labels_saved.csv",
    output:
        figure=report(
            "results/figures/labels_saved.svg",
            caption="../report/labels_saved.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_labels_saved.log",
    benchmark:
        "results/benchmarks/draw_labels_saved.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain", "finetune", "comparison"),
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures labels-saved"),
    shell:
        """
        python workflow/lib figures labels-saved {input.saved:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_ablation:
    """Show what each head gives alone, and what leaving it out of pretraining costs."""
    input:
        comparison="results/transfer/comparison.csv",
    output:
        figure=report(
            "results/figures/ablation.svg",
            caption="../report/ablation.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_ablation.log",
    benchmark:
        "results/benchmarks/draw_ablation.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain", "finetune", "comparison"),
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures ablation"),
    shell:
        """
        python workflow/lib figures ablation {input.comparison:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_other_arms:
    """Show Dice and paired differences of arms that were run at few training-set sizes."""
    input:
        comparison="results/transfer/comparison.csv",
    output:
        figure=report(
            "results/figures/other_arms.svg",
            caption="../report/other_arms.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_other_arms.log",
    benchmark:
        "results/benchmarks/draw_other_arms.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain", "finetune", "comparison"),
        sources=sources(PARAMS.archive.source, PARAMS.liver.source),
        code=code_digest("figures other-arms"),
    shell:
        """
        python workflow/lib figures other-arms {input.comparison:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """


rule draw_tasks:
    """Show how the classifications do against training-set size, a panel a task."""
    input:
        comparison="results/transfer/task_comparison.csv",
        runs="results/transfer/runs.csv",
    output:
        figure=report(
            "results/figures/tasks.svg",
            caption="../report/tasks.rst",
            category="Fine-tuning",
        ),
    log:
        "results/logs/draw_tasks.log",
    benchmark:
        "results/benchmarks/draw_tasks.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("pretrain", "finetune", "comparison"),
        sources=sources(PARAMS.archive.source),
        code=code_digest("figures tasks"),
    shell:
        """
        python workflow/lib figures tasks {input.comparison:q} {input.runs:q} {output.figure:q} \
            --settings {params.settings:q} \
            {params.sources} 2>{log:q}
        """
