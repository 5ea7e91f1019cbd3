"""The splits, and the encoders: pretrained on header labels, on shuffled labels, and the positive control."""

ENCODER_DIRS = [
    f"results/pretrain/{encoder}_seed-{seed}"
    for encoder in PARAMS.pretrain.encoders
    for seed in PARAMS.seeds_of_encoder(encoder)
]
CONTROL_DIRS = [f"results/pretrain/control_seed-{seed}" for seed in PARAMS.seeds_of_encoder("control")]

TARGETS["pretrain"] = [
    "results/pretrain/split.csv",
    "results/finetune/split/liver/split.csv",
    "results/finetune/split/liver/leakage.csv",
    *(f"results/finetune/split/{task}/split.csv" for task in PARAMS.tasks),
    *(f"{folder}/heads.csv" for folder in ENCODER_DIRS),
    *(f"{folder}/checkpoint.pt" for folder in CONTROL_DIRS),
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
    """Split the liver cases by patient, once, into roles and nested training sets, as the committed table says."""
    input:
        cases="results/liver/cases",
        table=PARAMS.liver.split.table or [],
    output:
        split="results/finetune/split/liver/split.csv",
        subsets="results/finetune/split/liver/subsets.csv",
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
        n_subsets=PARAMS.finetune.n_subsets,
        code=code_digest("finetune split"),
    shell:
        """
        python workflow/lib finetune split {input.cases:q}/cases.parquet {params.out_dir:q} \
            --settings {params.settings:q} \
            --n-subsets {params.n_subsets} 2>{log:q}
        """


rule draw_task_cases:
    """Draw the cases of a classification from patients whom no pretraining sees: one series each, roles, nested sets."""
    input:
        volumes=expand("results/volumes/{shard}", shard=SHARDS),
        patients="results/pretrain/split.csv",
        labels=lambda wildcards: labels_of_task(wildcards.task),
    output:
        cases="results/finetune/split/{task}/cases.csv",
        split="results/finetune/split/{task}/split.csv",
        subsets="results/finetune/split/{task}/subsets.csv",
    log:
        "results/logs/draw_task_cases/{task}.log",
    benchmark:
        "results/benchmarks/draw_task_cases/{task}.tsv"
    wildcard_constraints:
        task="|".join(TASK_CLASSES),
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        tables=expand("results/volumes/{shard}/volumes.parquet", shard=SHARDS),
        out_dir=subpath(output.cases, parent=True),
        labels=lambda wildcards: "--truth" if PARAMS.tasks[wildcards.task].labels == "truth" else "--labels",
        settings=lambda wildcards: PARAMS.tasks[wildcards.task].model_dump_json(include=set(TaskCases.model_fields)),
        code=code_digest("finetune draw-cases"),
    shell:
        """
        python workflow/lib finetune draw-cases {params.tables:q} {params.out_dir:q} \
            --task {wildcards.task} \
            --patients {input.patients:q} \
            {params.labels} {input.labels:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule audit_leakage:
    """Stop here if pretraining, the roles of the liver cases, or those of a classification share a patient, UID or slice."""
    input:
        patients="results/pretrain/split.csv",
        volumes=expand("results/volumes/{shard}", shard=SHARDS),
        cases="results/liver/cases",
        split="results/finetune/split/liver/split.csv",
        subsets="results/finetune/split/liver/subsets.csv",
        tasks=expand("results/finetune/split/{task}/{table}.csv", task=PARAMS.tasks, table=["split", "subsets"]),
    output:
        leakage="results/finetune/split/liver/leakage.csv",
    log:
        "results/logs/audit_leakage.log",
    benchmark:
        "results/benchmarks/audit_leakage.tsv"
    priority: 50
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        tables=expand("results/volumes/{shard}/volumes.parquet", shard=SHARDS),
        tasks=" ".join(f"--task-dir results/finetune/split/{task}" for task in PARAMS.tasks),
        code=code_digest("finetune audit"),
    shell:
        """
        python workflow/lib finetune audit {params.tables:q} {output.leakage:q} \
            --patients {input.patients:q} \
            --cases {input.cases:q}/cases.parquet \
            --split {input.split:q} \
            --subsets {input.subsets:q} {params.tasks} 2>{log:q}
        """


rule write_pretrain_run:
    """Write down all that one pretraining needs."""
    output:
        run="results/pretrain/{encoder}_seed-{init_seed}/run.json",
    log:
        "results/logs/write_pretrain_run/{encoder}_seed-{init_seed}.log",
    benchmark:
        "results/benchmarks/write_pretrain_run/{encoder}_seed-{init_seed}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        settings=run_settings("pretrain"),
        factors=lambda wildcards: json.dumps(
            {
                "encoder": wildcards.encoder,
                **PARAMS.pretrain.encoders[wildcards.encoder].model_dump(),
                "seed": int(wildcards.init_seed),
            }
        ),
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
        run="results/pretrain/{encoder}_seed-{init_seed}/run.json",
        leakage="results/finetune/split/liver/leakage.csv",
        targets="results/labels/targets.parquet",
        split="results/pretrain/split.csv",
        volumes=expand("results/volumes/{shard}", shard=SHARDS),
    output:
        checkpoint="results/pretrain/{encoder}_seed-{init_seed}/checkpoint.pt",
        history="results/pretrain/{encoder}_seed-{init_seed}/history.csv",
        predictions="results/pretrain/{encoder}_seed-{init_seed}/predictions.parquet",
        metrics="results/pretrain/{encoder}_seed-{init_seed}/metrics.json",
        environment="results/pretrain/{encoder}_seed-{init_seed}/environment.json",
    log:
        "results/logs/pretrain_encoder/{encoder}_seed-{init_seed}.log",
    benchmark:
        "results/benchmarks/pretrain_encoder/{encoder}_seed-{init_seed}.tsv"
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
        predictions="results/pretrain/{encoder}_seed-{init_seed}/predictions.parquet",
    output:
        heads="results/pretrain/{encoder}_seed-{init_seed}/heads.csv",
    log:
        "results/logs/score_heads/{encoder}_seed-{init_seed}.log",
    benchmark:
        "results/benchmarks/score_heads/{encoder}_seed-{init_seed}.tsv"
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
        run="results/pretrain/control_seed-{init_seed}/run.json",
    log:
        "results/logs/write_control_run/seed-{init_seed}.log",
    benchmark:
        "results/benchmarks/write_control_run/seed-{init_seed}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        settings=run_settings("control"),
        factors=lambda wildcards: json.dumps({"encoder": "control", "seed": int(wildcards.init_seed)}),
        inputs=json.dumps(
            {
                "cases": "results/liver/cases/cases.parquet",
                "split": "results/finetune/split/liver/split.csv",
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
        run="results/pretrain/control_seed-{init_seed}/run.json",
        leakage="results/finetune/split/liver/leakage.csv",
        cases="results/liver/cases",
        split="results/finetune/split/liver/split.csv",
    output:
        checkpoint="results/pretrain/control_seed-{init_seed}/checkpoint.pt",
        history="results/pretrain/control_seed-{init_seed}/history.csv",
        metrics="results/pretrain/control_seed-{init_seed}/metrics.json",
        environment="results/pretrain/control_seed-{init_seed}/environment.json",
    log:
        "results/logs/train_control/seed-{init_seed}.log",
    benchmark:
        "results/benchmarks/train_control/seed-{init_seed}.tsv"
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
