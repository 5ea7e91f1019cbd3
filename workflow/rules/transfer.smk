"""The comparison of initialisations."""

TARGETS["transfer"] = [
    "results/transfer/comparison.csv",
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
        settings=section("finetune", "network", "input", "volumes", "proposal"),
        code=code_digest("transfer collect"),
    shell:
        """
        python workflow/lib transfer collect {params.run_dirs:q} {params.out_dir:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule compare_inits:
    """Compare each initialisation with scratch at each training-set size."""
    input:
        runs="results/transfer/runs.csv",
        cases="results/transfer/cases.csv",
    output:
        comparison="results/transfer/comparison.csv",
        against_shuffled="results/transfer/against_shuffled.csv",
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
        settings=section("comparison"),
        code=code_digest("transfer compare"),
    shell:
        """
        python workflow/lib transfer compare {input.runs:q} {input.cases:q} {params.out_dir:q} \
            --settings {params.settings:q} 2>{log:q}
        """
