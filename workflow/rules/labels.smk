"""Labels from headers and from catalogue text, what they are worth, and what the network is trained on."""

TARGETS["labels"] = [
    "results/labels/labels.parquet",
    "results/labels/targets.parquet",
    "results/labels/accuracy.csv",
    "results/labels/index.parquet",
    "results/labels/census.csv",
]

RULES = expand(
    "workflow/resources/labels/{table}",
    table=[
        "subject.yaml",
        "kind.yaml",
        "sequence.yaml",
        "contrast.yaml",
        "plane.yaml",
        "regions.yaml",
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


rule census_labels:
    """Count how often each head of the catalogue's labels answers, by modality and collection."""
    input:
        labels="results/labels/index.parquet",
    output:
        census="results/labels/census.csv",
    log:
        "results/logs/census_labels.log",
    benchmark:
        "results/benchmarks/census_labels.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        code=code_digest("labels census"),
    shell:
        """
        python workflow/lib labels census {input.labels:q} {output.census:q} 2>{log:q}
        """
