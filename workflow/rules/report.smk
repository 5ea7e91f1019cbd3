"""Pages for readers, of tables and of figures (`figures`)."""

TARGETS["report"] = ["reports/index.html", "reports/labels.html"]


rule build_report:
    """Build the page for readers; every number in it is read from a results file."""
    input:
        figures=FIGURES,
        summary="results/raw/summary.csv",
        attribution="results/raw/attribution.csv",
        missing="results/raw/missing.csv",
        heads=[f"{folder}/heads.csv" for folder in ENCODER_DIRS],
        runs="results/transfer/runs.csv",
        comparison="results/transfer/comparison.csv",
        compared=expand(
            "results/transfer/{table}.csv",
            table=["secondary", "labels_saved", "power", "task_comparison", "costs", "proposals"],
        ),
        leakage="results/finetune/split/liver/leakage.csv",
        notes="params.yaml",
    output:
        index="reports/index.html",
    log:
        "results/logs/build_report.log",
    benchmark:
        "results/benchmarks/build_report.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=PARAMS.model_dump_json(),
        comments=source_digest(),  # PAPER and ASSUME notes are read from them
        code=code_digest("report build"),
    shell:
        """
        python workflow/lib report build results {output.index:q} \
            --settings {params.settings:q} \
            --notes {input.notes:q} 2>{log:q}
        """


rule build_label_page:
    """Build the page on labels; every number in it is read from a results file."""
    input:
        figures=LABEL_FIGURES,
        gold="workflow/resources/gold/held_out.csv",
        scores=expand("results/labels/gold/{labeller}.csv", labeller=LABELLERS),
        index=expand("results/labels/census_index/{table}.csv", table=CENSUS_TABLES),
        archive=expand("results/labels/census_archive/{table}.csv", table=CENSUS_TABLES),
        accuracy="results/labels/accuracy.csv",
    output:
        page="reports/labels.html",
    log:
        "results/logs/build_label_page.log",
    benchmark:
        "results/benchmarks/build_label_page.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        sources=sources(PARAMS.archive.source),
        code=code_digest("report labels"),
    shell:
        """
        python workflow/lib report labels results {output.page:q} --gold {input.gold:q} \
            {params.sources} 2>{log:q}
        """
