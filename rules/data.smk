# results/data/DATASET/config.yaml -> fetched.json -> arrays and manifest.json


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
            "genlab.workflow.fetch",
            f"genlab.data.sources.{STUDY.datasets[w.dataset].source}",
        ),
        own_files=lambda w: own_files(w.dataset),
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
            "genlab.workflow.prepare",
            f"genlab.data.sources.{STUDY.datasets[w.dataset].source}",
        ),
    shell:
        "genlab prepare --config {params.config} > {log} 2>&1"
