"""DICOM series and liver cases, as they come. Nothing edits results/raw afterwards."""

TARGETS["archive"] = [
    "results/raw/plan.parquet",
    "results/raw/truth.parquet",
    "results/raw/summary.csv",
    "results/raw/attribution.csv",
    "results/raw/attribution.md",
    "results/raw/missing.csv",
    *expand("results/raw/dicom/{shard}", shard=SHARDS),
    "results/raw/liver",
]


rule plan_archive:
    """Choose the archive's series and say what they are; of digital patients also the truth."""
    input:
        leaking="workflow/resources/leaking_collections.csv",
        rules=lambda _: RULES if PARAMS.archive.source in ("idc", "nbia") else [],  # series are chosen by their labels
    output:
        **({"files": FOLDER_FILES} if PARAMS.archive.source == "folder" else {}),
        plan="results/raw/plan.parquet",
        truth="results/raw/truth.parquet",
        summary="results/raw/summary.csv",
    log:
        "results/logs/plan_archive.log",
    benchmark:
        "results/benchmarks/plan_archive.tsv"
    priority: 50
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        out_dir=subpath(output.plan, parent=True),
        settings=section("archive"),
        state=state_of_folder,
        code=code_digest("archive plan"),
    shell:
        """
        python workflow/lib archive plan {params.out_dir:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule fetch_series:
    """Fetch (or, for digital patients, render) the series of one shard."""
    input:
        plan="results/raw/plan.parquet",
    output:
        series=directory("results/raw/dicom/{shard}"),
        fetched="results/raw/fetched/{shard}.csv",
    log:
        "results/logs/fetch_series/{shard}.log",
    benchmark:
        "results/benchmarks/fetch_series/{shard}.tsv"
    priority: 50
    localrule: PARAMS.archive.source in ("idc", "nbia")  # compute nodes often have no network
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=section("archive"),
        code=code_digest("archive fetch"),
    shell:
        """
        python workflow/lib archive fetch {input.plan:q} {output.series:q} {output.fetched:q} \
            --shard {wildcards.shard:q} \
            --settings {params.settings:q} \
            --threads {threads} 2>{log:q}
        """


rule attribute_archive:
    """Say whose images were used, under which licence, and what could not be had."""
    input:
        plan="results/raw/plan.parquet",
        fetched=expand("results/raw/fetched/{shard}.csv", shard=SHARDS),
    output:
        table="results/raw/attribution.csv",
        text="results/raw/attribution.md",
        missing="results/raw/missing.csv",
    log:
        "results/logs/attribute_archive.log",
    benchmark:
        "results/benchmarks/attribute_archive.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        out_dir=subpath(output.table, parent=True),
        source=PARAMS.archive.source,
        code=code_digest("archive attribution"),
    shell:
        """
        python workflow/lib archive attribution {input.plan:q} {params.out_dir:q} {input.fetched:q} \
            --source {params.source:q} 2>{log:q}
        """


rule fetch_liver_cases:
    """Render the liver cases of digital patients, or link those of the user's LiTS folder."""
    output:
        cases=directory("results/raw/liver"),
    log:
        "results/logs/fetch_liver_cases.log",
    benchmark:
        "results/benchmarks/fetch_liver_cases.tsv"
    priority: 20
    conda:
        "../../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=3000,
    params:
        settings=section("liver"),
        code=code_digest("archive fetch-liver"),
    shell:
        """
        python workflow/lib archive fetch-liver {output.cases:q} \
            --settings {params.settings:q} \
            --threads {threads} 2>{log:q}
        """
