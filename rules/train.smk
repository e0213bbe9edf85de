# results/STUDY/DATASET/MODEL/seedK/config.yaml + arrays -> model/, history.jsonl
# The domain classifier is a run like any other, with the model name `classifier`; so are CLIP
# (`clip`) and the judge (`judge`), where a model of the study takes prompts.


use rule compute as train with:
    input:
        "<data>/manifest.json",
        noted("<data>/tokens.npy"),
        "<data>/tokenizer.json",
        noted(*ARRAYS),
        first_stage=lambda w: first_stage_weights(w.dataset, w.model, w.seed),
    output:
        "<run>/model/weights.safetensors",
        "<run>/model/summary.json",
        "<run>/model/cost.json",
        "<run>/model/environment.json",
        "<run>/history.jsonl",
        "<run>/tracking/config.json",
        "<run>/tracking/train.json",
        directory("<run>/model/at"),  # SHARE.safetensors; empty without learning curves
    log:
        "<logs>/{dataset}/{model}/seed{seed}/train.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/train.tsv"
    # A job that was preempted or killed goes on from its checkpoint. On a cluster the Snakemake
    # that submits counts; the one inside the job would add attempts of its own.
    retries: 0 if workflow.remote_exec else 1
    threads: HALF
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=1440,
    params:
        call=f"train --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("train"),
