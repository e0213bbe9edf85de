# images -> features, once for each extractor; features of a row + of the training set -> metrics


rule reference_features:
    input:
        config=STUDY_AT.evaluation,
        images=DATA.images("train"),
        classifier=lambda w: needs_classifier(w.extractor, w.dataset),
    output:
        STUDY_AT.reference("{dataset}", "{extractor}"),
    params:
        study=STUDY_AT.config,
        code=code("genlab.evaluation.stages"),
    log:
        f"{LOGS}/{{dataset}}/reference_{{extractor}}.log",
    benchmark:
        f"{COSTS}/{{dataset}}/reference_{{extractor}}.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["features"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["measure"],
        runtime=MINUTES["sample"],
    shell:
        "genlab features --config {params.study} --dataset {wildcards.dataset}"
        " --extractor {wildcards.extractor} --images {input.images} --out {output}"
        " --gpus {resources.gpu} > {log} 2>&1"


rule features:
    input:
        config=STUDY_AT.evaluation,
        images=ROW.samples,
        classifier=lambda w: needs_classifier(w.extractor, w.dataset),
    output:
        ROW.features("{extractor}"),
    params:
        study=STUDY_AT.config,
        code=code("genlab.evaluation.stages"),
    log:
        f"{LOGS}/{IN_RUN}/features_{{row}}_{{extractor}}.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/features_{{row}}_{{extractor}}.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["features"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["measure"],
        runtime=MINUTES["sample"],
    shell:
        "genlab features --config {params.study} --dataset {wildcards.dataset}"
        " --extractor {wildcards.extractor} --images {input.images} --out {output}"
        " --gpus {resources.gpu} > {log} 2>&1"


rule evaluate:
    input:
        config=ROW.config,
        evaluation=STUDY_AT.evaluation,
        features=expand(
            ROW.features("{extractor}"),
            extractor=STUDY.evaluation.extractors,
            allow_missing=True,
        ),
        reference=expand(
            STUDY_AT.reference("{dataset}", "{extractor}"),
            extractor=STUDY.evaluation.extractors,
            allow_missing=True,
        ),
    output:
        ROW.metrics,
    params:
        code=code("genlab.evaluation.stages"),
    log:
        f"{LOGS}/{IN_RUN}/evaluate_{{row}}.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/evaluate_{{row}}.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["evaluate"]
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["measure"],
        runtime=MINUTES["short"],
    shell:
        "genlab evaluate --config {input.config} > {log} 2>&1"
