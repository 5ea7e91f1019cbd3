"""The splits, and the encoders: pretrained on header labels, on shuffled labels, and the positive control."""

ENCODERS = ["dicom", *(["shuffled"] if "shuffled" in PARAMS.finetune.inits else [])]

TARGETS["pretrain"] = [
    "results/pretrain/split.csv",
    "results/finetune/split/split.csv",
    *expand("results/pretrain/{encoder}/heads.csv", encoder=ENCODERS),
    *(path for init, path in CHECKPOINTS.items() if init in ("pretrained", *PARAMS.finetune.inits)),
]


rule split_patients:
    """Split the archive's patients, once, into training, validation and test."""
    input:
        targets="results/labels/targets.parquet",
        volumes=expand("results/volumes/{shard}", shard=SHARDS),
    output:
        split="results/pretrain/split.csv",
    log:
        "results/logs/split_patients.log",
    benchmark:
        "results/benchmarks/split_patients.tsv"
    priority: 50
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        tables=expand("results/volumes/{shard}/volumes.parquet", shard=SHARDS),
        settings=section("pretrain"),
        code=code_digest("pretrain split"),
    shell:
        """
        python workflow/lib pretrain split {input.targets:q} {params.tables:q} {output.split:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule split_liver_cases:
    """Split the liver cases by patient, once, and draw the nested training sets."""
    input:
        cases="results/liver/cases",
    output:
        split="results/finetune/split/split.csv",
        subsets="results/finetune/split/subsets.csv",
    log:
        "results/logs/split_liver_cases.log",
    benchmark:
        "results/benchmarks/split_liver_cases.tsv"
    priority: 20
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        out_dir=subpath(output.split, parent=True),
        settings=section("liver"),
        subset_seeds=",".join(map(str, PARAMS.finetune.subset_seeds)),
        code=code_digest("finetune split"),
    shell:
        """
        python workflow/lib finetune split {input.cases:q}/cases.parquet {params.out_dir:q} \
            --settings {params.settings:q} \
            --subset-seeds {params.subset_seeds:q} 2>{log:q}
        """


rule write_pretrain_run:
    """Write down all that one pretraining needs."""
    output:
        run="results/pretrain/{encoder}/run.json",
    log:
        "results/logs/write_pretrain_run/{encoder}.log",
    benchmark:
        "results/benchmarks/write_pretrain_run/{encoder}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        settings=run_settings("pretrain"),
        factors=lambda wildcards: json.dumps({"encoder": wildcards.encoder}),
        inputs=json.dumps(
            {
                "targets": "results/labels/targets.parquet",
                "split": "results/pretrain/split.csv",
                "volumes": expand("results/volumes/{shard}/volumes.parquet", shard=SHARDS),
            }
        ),
        code=code_digest("runs write"),
    shell:
        """
        python workflow/lib runs write {output.run:q} \
            --kind pretrain \
            --settings {params.settings:q} \
            --factors {params.factors:q} \
            --inputs {params.inputs:q} 2>{log:q}
        """


rule pretrain_encoder:
    """Train the encoder on header labels, or on the same labels dealt to other patients (shuffled)."""
    input:
        run="results/pretrain/{encoder}/run.json",
        targets="results/labels/targets.parquet",
        split="results/pretrain/split.csv",
        volumes=expand("results/volumes/{shard}", shard=SHARDS),
    output:
        checkpoint="results/pretrain/{encoder}/checkpoint.pt",
        history="results/pretrain/{encoder}/history.csv",
        predictions="results/pretrain/{encoder}/predictions.parquet",
        environment="results/pretrain/{encoder}/environment.json",
    log:
        "results/logs/pretrain_encoder/{encoder}.log",
    benchmark:
        "results/benchmarks/pretrain_encoder/{encoder}.tsv"
    priority: 100
    conda:
        "../../envs/train.yaml"
    threads: PARAMS.pretrain.n_threads
    resources:
        mem_mb=2500,
    params:
        out_dir=subpath(output.checkpoint, parent=True),
        code=code_digest("pretrain train"),
    shell:
        """
        python workflow/lib pretrain train {input.run:q} {params.out_dir:q} 2>{log:q}
        """


rule score_heads:
    """Score each head of a pretrained encoder on patients never trained on."""
    input:
        predictions="results/pretrain/{encoder}/predictions.parquet",
    output:
        heads="results/pretrain/{encoder}/heads.csv",
    log:
        "results/logs/score_heads/{encoder}.log",
    benchmark:
        "results/benchmarks/score_heads/{encoder}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=section("comparison"),
        code=code_digest("pretrain score"),
    shell:
        """
        python workflow/lib pretrain score {input.predictions:q} {output.heads:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule write_control_run:
    """Write down all that the positive control needs."""
    output:
        run="results/pretrain/control/run.json",
    log:
        "results/logs/write_control_run.log",
    benchmark:
        "results/benchmarks/write_control_run.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        settings=run_settings("control"),
        factors=json.dumps({"encoder": "control"}),
        inputs=json.dumps(
            {
                "cases": "results/liver/cases/cases.parquet",
                "split": "results/finetune/split/split.csv",
            }
        ),
        code=code_digest("runs write"),
    shell:
        """
        python workflow/lib runs write {output.run:q} \
            --kind control \
            --settings {params.settings:q} \
            --factors {params.factors:q} \
            --inputs {params.inputs:q} 2>{log:q}
        """


rule train_control:
    """Train a liver segmenter on cases of other patients; its encoder shows what transfer could give."""
    input:
        run="results/pretrain/control/run.json",
        cases="results/liver/cases",
        split="results/finetune/split/split.csv",
    output:
        checkpoint="results/pretrain/control/checkpoint.pt",
        history="results/pretrain/control/history.csv",
        environment="results/pretrain/control/environment.json",
    log:
        "results/logs/train_control.log",
    benchmark:
        "results/benchmarks/train_control.tsv"
    priority: 90
    conda:
        "../../envs/train.yaml"
    threads: PARAMS.finetune.n_threads
    resources:
        mem_mb=2500,
    params:
        out_dir=subpath(output.checkpoint, parent=True),
        code=code_digest("pretrain control"),
    shell:
        """
        python workflow/lib pretrain control {input.run:q} {params.out_dir:q} 2>{log:q}
        """
