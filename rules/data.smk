# results/data/DATASET/config.yaml -> fetched.json -> arrays and manifest.json
# results/STUDY/tracking.yaml      -> the tracking store
import functools

from genlab.config.hashes import digest, hashes


@functools.cache
def own_files(dataset):
    """A hash of the user's own files, so that the data are fetched anew when these change."""
    config, at = STUDY.datasets[dataset], STUDY_AT.data(dataset)
    return digest(hashes(config.own_files, at.hashes))


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
        own_files=lambda w: own_files(w.dataset),
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


# One job makes the store before any run needs it: processes that create it at once would crash.
rule store:
    input:
        tracking=STUDY_AT.tracking,
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
        study=STUDY_AT.config,
    shell:
        "genlab store --config {params.study} > {log} 2>&1"
