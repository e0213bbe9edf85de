# results/data/DATASET/config.yaml -> fetched.json -> arrays and manifest.json
# results/STUDY/tracking.yaml      -> the tracking store


rule fetch:
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
        config=str(DATA.config),
        spec=spec_of(DATA.config),
        code=lambda w: code(
            "genlab.data.prepare", f"genlab.data.{STUDY.datasets[w.dataset].source}"
        ),
    shell:
        "genlab fetch --config {params.config} > {log} 2>&1"


rule prepare:
    input:
        fetched=DATA.fetched,
    output:
        prepared(DATA),
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
        config=str(DATA.config),
        spec=spec_of(DATA.config),
        code=lambda w: code(
            "genlab.data.prepare", f"genlab.data.{STUDY.datasets[w.dataset].source}"
        ),
    shell:
        "genlab prepare --config {params.config} > {log} 2>&1"


# One job makes the store before any run needs it: processes that create it at once would crash.
rule store:
    output:
        STUDY_AT.store,
    log:
        f"{LOGS}/store.log",
    benchmark:
        f"{COSTS}/store.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["light"],
        runtime=MINUTES["short"],
    params:
        spec=spec_of(STUDY_AT.tracking),
        study=STUDY_AT.config,
    shell:
        "genlab store --config {params.study} > {log} 2>&1"
