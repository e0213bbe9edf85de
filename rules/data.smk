# results/data/DATASET/config.yaml -> fetched.json -> arrays and manifest.json


rule fetch:
    input:
        config=DATA.config,
    output:
        DATA.fetched,
    log:
        f"{LOGS}/{{dataset}}/fetch.log",
    benchmark:
        f"{COSTS}/{{dataset}}/fetch.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["light"],
        runtime=MINUTES["data"],
    params:
        code=lambda w: code(
            "genlab.data.prepare", f"genlab.data.{STUDY.datasets[w.dataset].source}"
        ),
    shell:
        "genlab fetch --config {input.config} > {log} 2>&1"


rule prepare:
    input:
        config=DATA.config,
        fetched=DATA.fetched,
    output:
        DATA.manifest,
        [
            path(split)
            for path in (DATA.images, DATA.labels, DATA.factors, DATA.captions)
            for split in ("train", "test", "unseen")
        ],
        DATA.texts,
        DATA.tokens,
        DATA.tokenizer,
    log:
        f"{LOGS}/{{dataset}}/prepare.log",
    benchmark:
        f"{COSTS}/{{dataset}}/prepare.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["data"],
        runtime=MINUTES["data"],
    params:
        code=lambda w: code(
            "genlab.data.prepare", f"genlab.data.{STUDY.datasets[w.dataset].source}"
        ),
    shell:
        "genlab prepare --config {input.config} > {log} 2>&1"
