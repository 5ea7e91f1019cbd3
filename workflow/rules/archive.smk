"""DICOM series and liver cases, as they come. Nothing edits results/raw afterwards."""

TARGETS["archive"] = [
    "results/raw/plan.parquet",
    "results/raw/truth.parquet",
    *expand("results/raw/dicom/{shard}", shard=SHARDS),
    "results/raw/liver",
]


rule plan_archive:
    """List the archive's series, each with its shard; of digital patients also the truth."""
    input:
        leaking="workflow/resources/leaking_collections.csv",
    output:
        plan="results/raw/plan.parquet",
        truth="results/raw/truth.parquet",
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
    log:
        "results/logs/fetch_series/{shard}.log",
    benchmark:
        "results/benchmarks/fetch_series/{shard}.tsv"
    priority: 50
    localrule: PARAMS.archive.source == "idc"  # compute nodes often have no network
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
        python workflow/lib archive fetch {input.plan:q} {output.series:q} \
            --shard {wildcards.shard:q} \
            --settings {params.settings:q} \
            --threads {threads} 2>{log:q}
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
