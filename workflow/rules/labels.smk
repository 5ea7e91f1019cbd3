"""Labels from headers and from catalogue text, what they are worth, and what the network is trained on."""

TARGETS["labels"] = [
    "results/labels/labels.parquet",
    "results/labels/targets.parquet",
    "results/labels/accuracy.csv",
    "results/labels/index.parquet",
    "results/labels/census_index/census.csv",
    "results/labels/census_archive/census.csv",
    "results/labels/gold/rules.csv",
    "results/labels/gold/regex.csv",
    "results/labels/gold/body-part-examined.csv",
]

LABELLERS = {
    "rules": "results/labels/index.parquet",
    "regex": "results/labels/gold/regex.parquet",
    "body-part-examined": "results/labels/gold/body-part-examined.parquet",
}
"""Whose labels are scored on the rated series, and where these labels are."""

CENSUS_TABLES = [
    "census",
    "rule_use",
    "witness_use",
    "body_part",
    "disagreements",
    "disagreement_examples",
    "funnel",
    "classes",
    "sample",
]

RULES = expand(
    "workflow/resources/labels/{table}",
    table=[
        "subject.yaml",
        "kind.yaml",
        "sequence.yaml",
        "contrast.yaml",
        "phase.yaml",
        "plane.yaml",
        "regions.yaml",
        "kernel.yaml",
        "collections.csv",
    ],
)


rule label_series:
    """Label the series of one shard from their headers."""
    input:
        series="results/series/{shard}/series.parquet",
        plan="results/raw/plan.parquet",
        rules=RULES,
    output:
        labels="results/labels/{shard}.parquet",
    log:
        "results/logs/label_series/{shard}.log",
    benchmark:
        "results/benchmarks/label_series/{shard}.tsv"
    priority: 50
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        code=code_digest("labels from-series"),
    shell:
        """
        python workflow/lib labels from-series {input.series:q} {output.labels:q} --plan {input.plan:q} 2>{log:q}
        """


rule join_labels:
    """Put the labels of all shards into one table."""
    input:
        labels=expand("results/labels/{shard}.parquet", shard=SHARDS),
    output:
        labels="results/labels/labels.parquet",
    log:
        "results/logs/join_labels.log",
    benchmark:
        "results/benchmarks/join_labels.tsv"
    priority: 50
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        code=code_digest("labels join"),
    shell:
        """
        python workflow/lib labels join {input.labels:q} {output.labels:q} 2>{log:q}
        """


rule derive_targets:
    """Derive the paper's heads from the labels; what is unknown stays empty and is masked in the loss."""
    input:
        labels="results/labels/labels.parquet",
        heads="workflow/resources/labels/paper_heads.yaml",
    output:
        targets="results/labels/targets.parquet",
    log:
        "results/logs/derive_targets.log",
    benchmark:
        "results/benchmarks/derive_targets.tsv"
    priority: 50
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        code=code_digest("labels targets"),
    shell:
        """
        python workflow/lib labels targets {input.labels:q} {output.targets:q} 2>{log:q}
        """


rule evaluate_labels:
    """Score the labels against the truth, where the archive has one."""
    input:
        truth="results/raw/truth.parquet",
        labels="results/labels/labels.parquet",
    output:
        accuracy="results/labels/accuracy.csv",
        confusion="results/labels/accuracy_confusion.csv",
    log:
        "results/logs/evaluate_labels.log",
    benchmark:
        "results/benchmarks/evaluate_labels.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        code=code_digest("labels evaluate"),
    shell:
        """
        python workflow/lib labels evaluate {input.truth:q} {input.labels:q} {output.accuracy:q} 2>{log:q}
        """


rule label_index:
    """Label every series of the Imaging Data Commons from its catalogue text."""
    input:
        rules=RULES,
    output:
        labels="results/labels/index.parquet",
    log:
        "results/logs/label_index.log",
    benchmark:
        "results/benchmarks/label_index.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        code=code_digest("labels from-catalogue"),
    shell:
        """
        python workflow/lib labels from-catalogue idc-index {output.labels:q} 2>{log:q}
        """


rule label_baseline:
    """Label the rated series of the catalogue as others do, to be scored beside the rules."""
    input:
        gold="workflow/resources/gold/held_out.csv",
        rules=RULES,
    output:
        labels="results/labels/gold/{baseline}.parquet",
    log:
        "results/logs/label_baseline/{baseline}.log",
    benchmark:
        "results/benchmarks/label_baseline/{baseline}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        code=code_digest("labels baseline"),
    shell:
        """
        python workflow/lib labels baseline {wildcards.baseline:q} idc-index {output.labels:q} --of {input.gold:q} 2>{log:q}
        """


rule evaluate_gold:
    """Score labels of the catalogue, ours and those of others, on the rated real series."""
    input:
        gold="workflow/resources/gold/held_out.csv",
        labels=lambda wildcards: LABELLERS[wildcards.labeller],
    output:
        scores="results/labels/gold/{labeller}.csv",
        confusion="results/labels/gold/{labeller}_confusion.csv",
    log:
        "results/logs/evaluate_gold/{labeller}.log",
    benchmark:
        "results/benchmarks/evaluate_gold/{labeller}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        code=code_digest("labels evaluate"),
    shell:
        """
        python workflow/lib labels evaluate {input.gold:q} {input.labels:q} {output.scores:q} 2>{log:q} >&2
        """


rule census_index:
    """Count what the catalogue's labels cover and rest on, and what could be pretrained on."""
    input:
        labels="results/labels/index.parquet",
        leaking="workflow/resources/leaking_collections.csv",
        heads="workflow/resources/labels/paper_heads.yaml",
        rules=RULES,
    output:
        tables=expand("results/labels/census_index/{table}.csv", table=CENSUS_TABLES),
    log:
        "results/logs/census_index.log",
    benchmark:
        "results/benchmarks/census_index.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        out_dir=subpath(output[0], parent=True),
        code=code_digest("labels census"),
    shell:
        """
        python workflow/lib labels census {input.labels:q} idc-index {params.out_dir:q} 2>{log:q}
        """


rule census_archive:
    """Count the same over the series of this run's archive, whose headers were read."""
    input:
        labels="results/labels/labels.parquet",
        series=expand("results/series/{shard}/series.parquet", shard=SHARDS),
        leaking="workflow/resources/leaking_collections.csv",
        heads="workflow/resources/labels/paper_heads.yaml",
        rules=RULES,
    output:
        tables=expand("results/labels/census_archive/{table}.csv", table=CENSUS_TABLES),
    log:
        "results/logs/census_archive.log",
    benchmark:
        "results/benchmarks/census_archive.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        out_dir=subpath(output[0], parent=True),
        code=code_digest("labels census"),
    shell:
        """
        python workflow/lib labels census {input.labels:q} {input.series:q} {params.out_dir:q} 2>{log:q}
        """
