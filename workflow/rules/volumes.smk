"""Arrays: archive series on the common grid, liver cases at their own spacing."""

TARGETS["volumes"] = [
    *expand("results/volumes/{shard}", shard=SHARDS),
    "results/liver/cases",
]


rule resample_volumes:
    """Resample each usable series of one shard to the common grid."""
    input:
        dicom="results/raw/dicom/{shard}",
        series="results/series/{shard}/series.parquet",
        files="results/series/{shard}/files.parquet",
    output:
        volumes=directory("results/volumes/{shard}"),
    log:
        "results/logs/resample_volumes/{shard}.log",
    benchmark:
        "results/benchmarks/resample_volumes/{shard}.tsv"
    priority: 50
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        headers=subpath(input.series, parent=True),
        shape_zyx=",".join(map(str, PARAMS.volumes.shape_zyx)),
        tilt="--correct-tilt" if PARAMS.volumes.correct_tilt else "--no-correct-tilt",
        n_per_series_max=PARAMS.volumes.n_per_series_max,
        code=code_digest("volumes resample"),
    shell:
        """
        python workflow/lib volumes resample {input.dicom:q} {output.volumes:q} \
            --headers {params.headers:q} \
            --shape-zyx {params.shape_zyx:q} \
            {params.tilt:q} \
            --n-per-series-max {params.n_per_series_max} \
            --threads {threads} 2>{log:q}
        """


rule import_liver_cases:
    """Bring the liver cases into one frame, checked, at their own spacing."""
    input:
        cases="results/raw/liver",
    output:
        cases=directory("results/liver/cases"),
    log:
        "results/logs/import_liver_cases.log",
    benchmark:
        "results/benchmarks/import_liver_cases.tsv"
    priority: 20
    conda:
        "../../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=3000,
    params:
        code=code_digest("liver import"),
    shell:
        """
        python workflow/lib liver import {input.cases:q} {output.cases:q} \
            --threads {threads} 2>{log:q}
        """
