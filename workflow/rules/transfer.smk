"""The comparison of initialisations."""

TARGETS["transfer"] = [
    "results/transfer/comparison.csv",
    "results/transfer/costs.csv",
    "results/transfer/metrics.json",
]


rule collect_runs:
    """Gather the runs into two tables; runs made with other settings are refused."""
    input:
        runs=[f"{run_dir}/run.json" for run_dir in RUN_DIRS],
        cases=[f"{run_dir}/cases.csv" for run_dir in RUN_DIRS],
        metrics=[f"{run_dir}/metrics.json" for run_dir in RUN_DIRS],
        environments=[f"{run_dir}/environment.json" for run_dir in RUN_DIRS],
    output:
        runs="results/transfer/runs.csv",
        cases="results/transfer/cases.csv",
    log:
        "results/logs/collect_runs.log",
    benchmark:
        "results/benchmarks/collect_runs.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        run_dirs=RUN_DIRS,
        out_dir=subpath(output.runs, parent=True),
        settings=section(*FinetuneSections.model_fields),
        code=code_digest("transfer collect"),
    shell:
        """
        python workflow/lib transfer collect {params.run_dirs:q} {params.out_dir:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule compare_inits:
    """Compare each arm with those it is compared with, at each training-set size."""
    input:
        runs="results/transfer/runs.csv",
        cases="results/transfer/cases.csv",
    output:
        comparison="results/transfer/comparison.csv",
        secondary="results/transfer/secondary.csv",
        labels_saved="results/transfer/labels_saved.csv",
        power="results/transfer/power.csv",
        task_comparison="results/transfer/task_comparison.csv",
        metrics="results/transfer/metrics.json",
    log:
        "results/logs/compare_inits.log",
    benchmark:
        "results/benchmarks/compare_inits.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        out_dir=subpath(output.comparison, parent=True),
        settings=section("comparison", "finetune", "tasks"),
        code=code_digest("transfer compare"),
    shell:
        """
        python workflow/lib transfer compare {input.runs:q} {input.cases:q} {params.out_dir:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule sum_costs:
    """Say what each arm cost, its pretraining included."""
    input:
        metrics=[f"{folder}/metrics.json" for folder in [*RUN_DIRS, *ENCODER_DIRS, *CONTROL_DIRS]],
        environments=[f"{folder}/environment.json" for folder in [*RUN_DIRS, *ENCODER_DIRS, *CONTROL_DIRS]],
    output:
        costs="results/transfer/costs.csv",
    log:
        "results/logs/sum_costs.log",
    benchmark:
        "results/benchmarks/sum_costs.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        run_dirs=RUN_DIRS,
        encoder_dirs=" ".join(f"--encoder-dir {folder}" for folder in [*ENCODER_DIRS, *CONTROL_DIRS]),
        code=code_digest("transfer costs"),
    shell:
        """
        python workflow/lib transfer costs {params.run_dirs:q} {output.costs:q} {params.encoder_dirs} 2>{log:q}
        """
