# results/STUDY/DATASET/MODEL/seedK/config.yaml + arrays -> model/
# The domain classifier is a run like any other, with the model name `classifier`; so are CLIP
# (`clip`) and the judge (`judge`), where a model of the study takes prompts.


rule train:
    input:
        manifest=DATA.manifest,
        images=DATA.images("train"),
        first_stage=lambda w: first_stage_weights(w.dataset, w.model, w.seed),
    output:
        RUN.weights,
        RUN.summary,
        RUN.cost,
    log:
        f"{LOGS}/{IN_RUN}/train.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/train.tsv"
    # A job that was preempted or killed goes on from its checkpoint. On a cluster the Snakemake
    # that submits counts; the one inside the job would add attempts of its own.
    retries: 0 if workflow.remote_exec else 1
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["train"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["train"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        code=lambda w: model_code(w.model, "genlab.workflow.train"),
    shell:
        "genlab train --config {params.config} --gpus {resources.gpu} > {log} 2>&1"
