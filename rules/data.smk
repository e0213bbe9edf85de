# results/data/DATASET/config.yaml -> fetched.json -> arrays and manifest.json


use rule light as fetch with:
    output:
        "<data>/fetched.json",
    log:
        "<logs>/{dataset}/fetch.log",
    benchmark:
        "<benchmarks>/{dataset}/fetch.tsv"
    resources:
        gpu=0,
        mem_mb=memory(1000),
        runtime=120,
    params:
        call=f"fetch --config {DATA.config}",
        spec=spec_of(DATA.config),
        code=code_of("fetch"),
        own_files=lambda w: own_files(w.dataset),


use rule light as prepare with:
    input:
        "<data>/fetched.json",
    output:
        "<data>/manifest.json",
        "<data>/captions.json",
        "<data>/tokenizer.json",
        noted("<data>/tokens.npy", *ARRAYS),
    log:
        "<logs>/{dataset}/prepare.log",
    benchmark:
        "<benchmarks>/{dataset}/prepare.tsv"
    threads: HALF if any(data.decodes for data in STUDY.datasets.values()) else 1
    resources:
        gpu=0,
        mem_mb=memory(4000),
        runtime=120,
    params:
        call=f"prepare --config {DATA.config}",
        spec=spec_of(DATA.config),
        code=code_of("prepare"),
