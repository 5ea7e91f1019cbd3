"""Headers: one row a series, with its geometry."""

TARGETS["series"] = expand("results/series/{shard}/series.parquet", shard=SHARDS)


rule extract_headers:
    """Read the headers of one shard and order its slices in space."""
    input:
        dicom="results/raw/dicom/{shard}",
    output:
        series="results/series/{shard}/series.parquet",
        files="results/series/{shard}/files.parquet",
        excluded="results/series/{shard}/excluded.csv",
    log:
        "results/logs/extract_headers/{shard}.log",
    benchmark:
        "results/benchmarks/extract_headers/{shard}.tsv"
    priority: 50
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        out_dir=subpath(output.series, parent=True),
        code=code_digest("dicom extract"),
    shell:
        """
        python workflow/lib dicom extract {input.dicom:q} {params.out_dir:q} \
            --threads {threads} 2>{log:q}
        """
