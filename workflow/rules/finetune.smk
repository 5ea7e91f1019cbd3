"""Fine-tuning for each task: proposals of liver slices, the learning rate of each arm, and the runs themselves."""

TARGETS["finetune"] = [
    "results/liver/proposals.csv",
    *(f"{run_dir}/metrics.json" for run_dir in RUN_DIRS),
]


rule propose_liver_slices:
    """Propose the slices that hold the liver, by a window that slides along the body."""
    input:
        cases="results/liver/cases",
        checkpoint=PROPOSER,
    output:
        proposals="results/liver/proposals.csv",
    log:
        "results/logs/propose_liver_slices.log",
    benchmark:
        "results/benchmarks/propose_liver_slices.tsv"
    priority: 80
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2500,
    params:
        settings=section("proposal"),
        code=code_digest("liver propose"),
    shell:
        """
        python workflow/lib liver propose {input.cases:q} {output.proposals:q} \
            --checkpoint {input.checkpoint:q} \
            --settings {params.settings:q} 2>{log:q}
        """


rule write_tuning_run:
    """Write down all that one tuning run needs; it is scored on validation cases."""
    output:
        run="results/finetune/tuning/{task}/init-{init}_lr-{learning_rate}/run.json",
    log:
        "results/logs/write_tuning_run/{task}/init-{init}_lr-{learning_rate}.log",
    benchmark:
        "results/benchmarks/write_tuning_run/{task}/init-{init}_lr-{learning_rate}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        settings=lambda wildcards: json.dumps(FINETUNING.settings(wildcards.task, wildcards.init)),
        factors=lambda wildcards: finetune_factors(
            wildcards.task,
            wildcards.init,
            **GRIDS[wildcards.task].tune.model_dump(),
            learning_rate=float(wildcards.learning_rate),
            evaluate_on="validation",
        ),
        inputs=lambda wildcards: json.dumps(
            finetune_inputs(wildcards.task, wildcards.init, GRIDS[wildcards.task].tune.init_seed)
        ),
        code=code_digest("runs write"),
    shell:
        """
        python workflow/lib runs write {output.run:q} \
            --kind finetune \
            --settings {params.settings:q} \
            --factors {params.factors:q} \
            --inputs {params.inputs:q} 2>{log:q}
        """


rule tune_task:
    """Fine-tune at one learning rate of the grid."""
    input:
        unpack(tuning_files),
        leakage="results/finetune/split/liver/leakage.csv",
        run="results/finetune/tuning/{task}/init-{init}_lr-{learning_rate}/run.json",
    output:
        checkpoint="results/finetune/tuning/{task}/init-{init}_lr-{learning_rate}/checkpoint.pt",
        history="results/finetune/tuning/{task}/init-{init}_lr-{learning_rate}/history.csv",
        cases="results/finetune/tuning/{task}/init-{init}_lr-{learning_rate}/cases.csv",
        metrics="results/finetune/tuning/{task}/init-{init}_lr-{learning_rate}/metrics.json",
        environment="results/finetune/tuning/{task}/init-{init}_lr-{learning_rate}/environment.json",
    log:
        "results/logs/tune_task/{task}/init-{init}_lr-{learning_rate}.log",
    benchmark:
        "results/benchmarks/tune_task/{task}/init-{init}_lr-{learning_rate}.tsv"
    priority: 70
    conda:
        "../../envs/train.yaml"
    threads: PARAMS.finetune.n_threads
    resources:
        mem_mb=2500,
    params:
        out_dir=subpath(output.checkpoint, parent=True),
        code=code_digest("finetune train"),
    shell:
        """
        python workflow/lib finetune train {input.run:q} {params.out_dir:q} 2>{log:q}
        """


rule choose_rate:
    """Choose the learning rate of one arm by its task's metric on validation cases; of all arms, what is done to masks.

    The arms of every study decide that, so that an arm added leaves all others as they are.
    """
    input:
        metrics=[
            f"results/finetune/tuning/{{task}}/init-{{init}}_lr-{rate}/metrics.json"
            for rate in PARAMS.finetune.learning_rates
        ],
        arms=lambda wildcards: [
            f"results/finetune/tuning/{wildcards.task}/init-{init}_lr-{rate}/metrics.json"
            for init in FIRST_ARMS
            if init in GRIDS[wildcards.task].arms
            for rate in PARAMS.finetune.learning_rates
        ],
    output:
        rate="results/finetune/rates/{task}/{init}.json",
    log:
        "results/logs/choose_rate/{task}/{init}.log",
    benchmark:
        "results/benchmarks/choose_rate/{task}/{init}.tsv"
    priority: 70
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        arms=lambda wildcards, input: [f"--arms={path}" for path in input.arms],
        code=code_digest("finetune choose-rate"),
    shell:
        """
        python workflow/lib finetune choose-rate {input.metrics:q} {output.rate:q} \
            {params.arms:q} 2>{log:q}
        """


rule write_finetune_run:
    """Write down all that one fine-tuning run needs, the chosen learning rate included."""
    input:
        rate="results/finetune/rates/{task}/{init}.json",
    output:
        run="results/finetune/runs/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}/run.json",
    log:
        "results/logs/write_finetune_run/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}.log",
    benchmark:
        "results/benchmarks/write_finetune_run/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        settings=lambda wildcards: json.dumps(FINETUNING.settings(wildcards.task, wildcards.init)),
        factors=lambda wildcards: finetune_factors(
            wildcards.task,
            wildcards.init,
            n_train=int(wildcards.n_train),
            subset_seed=int(wildcards.subset_seed),
            init_seed=int(wildcards.init_seed),
            evaluate_on="test",
        ),
        inputs=lambda wildcards, input: json.dumps(
            {**finetune_inputs(wildcards.task, wildcards.init, wildcards.init_seed), "rate": input.rate}
        ),
        code=code_digest("runs write"),
    shell:
        """
        python workflow/lib runs write {output.run:q} \
            --kind finetune \
            --settings {params.settings:q} \
            --factors {params.factors:q} \
            --inputs {params.inputs:q} 2>{log:q}
        """


rule finetune_task:
    """Fine-tune for one task from one initialisation, on one training set."""
    input:
        unpack(lambda wildcards: finetune_files(wildcards.task, wildcards.init, wildcards.init_seed)),
        leakage="results/finetune/split/liver/leakage.csv",
        run="results/finetune/runs/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}/run.json",
    output:
        checkpoint="results/finetune/runs/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}/checkpoint.pt",
        history="results/finetune/runs/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}/history.csv",
        cases="results/finetune/runs/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}/cases.csv",
        metrics="results/finetune/runs/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}/metrics.json",
        environment="results/finetune/runs/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}/environment.json",
    log:
        "results/logs/finetune_task/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}.log",
    benchmark:
        "results/benchmarks/finetune_task/{task}/init-{init}_ntrain-{n_train}_subset-{subset_seed}_seed-{init_seed}.tsv"
    priority: 60
    conda:
        "../../envs/train.yaml"
    threads: PARAMS.finetune.n_threads
    resources:
        mem_mb=2500,
    params:
        out_dir=subpath(output.checkpoint, parent=True),
        code=code_digest("finetune train"),
    shell:
        """
        python workflow/lib finetune train {input.run:q} {params.out_dir:q} 2>{log:q}
        """
