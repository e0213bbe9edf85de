# images -> features, once for each extractor; features of a row + of the training set -> metrics


rule reference_features:
    input:
        images=DATA.images("train"),
        weights=lambda w: extractor_weights(w.extractor, w.dataset),
    output:
        STUDY_AT.reference("{dataset}", "{extractor}"),
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
    params:
        study=STUDY_AT.config,
        code=lambda w: code("genlab.workflow.features", extractor(w.extractor).module),
    shell:
        "genlab features --config {params.study} --dataset {wildcards.dataset}"
        " --extractor {wildcards.extractor} --images {input.images} --out {output}"
        " --gpus {resources.gpu} > {log} 2>&1"


rule features:
    input:
        images=ROW.samples,
        weights=lambda w: extractor_weights(w.extractor, w.dataset),
    output:
        ROW.features("{extractor}"),
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
    params:
        study=STUDY_AT.config,
        code=lambda w: code("genlab.workflow.features", extractor(w.extractor).module),
    shell:
        "genlab features --config {params.study} --dataset {wildcards.dataset}"
        " --extractor {wildcards.extractor} --images {input.images} --out {output}"
        " --gpus {resources.gpu} > {log} 2>&1"


rule evaluate:
    input:
        features=lambda w: [
            STUDY_AT.run(w.dataset, w.model, w.seed).samples(row).features(extractor)
            for row in rows_of(w.model)
            for extractor in STUDY.evaluation.extractors
        ],
        asked=[DATA.labels("train"), DATA.captions("train"), DATA.tokens, DATA.manifest],
        reference=expand(
            STUDY_AT.reference("{dataset}", "{extractor}"),
            extractor=STUDY.evaluation.extractors,
            allow_missing=True,
        ),
    output:
        RUN.metrics,
    log:
        f"{LOGS}/{IN_RUN}/evaluate.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/evaluate.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["evaluate"]
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["measure"],
        runtime=MINUTES["short"],
    params:
        spec=spec_of(STUDY_AT.evaluation),
        run=str(RUN.folder),
        rows=lambda w: [f"--row {row}" for row in rows_of(w.model)],
        code=code("genlab.workflow.evaluate", *METRICS),
    shell:
        "genlab evaluate --run {params.run} {params.rows} > {log} 2>&1"


# Reconstructions, measured as if a generator had drawn them.
rule rfid:
    input:
        images=RUN.reconstructed,
        weights=lambda w: [
            path
            for extractor in STUDY.evaluation.extractors
            for path in extractor_weights(extractor, w.dataset)
        ],
        reference=expand(
            STUDY_AT.reference("{dataset}", "{extractor}"),
            extractor=STUDY.evaluation.extractors,
            allow_missing=True,
        ),
    output:
        RUN.rfid,
    log:
        f"{LOGS}/{IN_RUN}/rfid.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/rfid.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["features"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["measure"],
        runtime=MINUTES["sample"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        evaluation=spec_of(STUDY_AT.evaluation),
        code=code(
            "genlab.workflow.rfid",
            *[extractor(name).module for name in STUDY.evaluation.extractors],
        ),
    shell:
        "genlab rfid --config {params.config} --gpus {resources.gpu} > {log} 2>&1"


rule likelihood:
    input:
        weights=RUN.weights,
        images=DATA.images("test"),
    output:
        RUN.likelihood,
    log:
        f"{LOGS}/{IN_RUN}/likelihood.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/likelihood.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["evaluate"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        options=lambda w: likelihood_options(w.model),
        code=lambda w: model_code(w.model, "genlab.workflow.likelihood"),
    shell:
        "genlab likelihood --config {params.config} {params.options}"
        " --gpus {resources.gpu} > {log} 2>&1"
