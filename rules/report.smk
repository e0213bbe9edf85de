# metrics, costs, pictures -> league.csv, league.md, report/index.html; everything -> MLflow


rule league:
    input:
        outputs("train", "sample", "evaluate", "reconstruct", "rfid", "likelihood"),
    output:
        table=report(
            STUDY_AT.league,
            caption="../docs/captions/league.rst",
            category="League",
        ),
        markdown=STUDY_AT.league_markdown,
    log:
        f"{LOGS}/league.log",
    benchmark:
        f"{COSTS}/league.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["light"],
        runtime=MINUTES["short"],
    params:
        study=STUDY_AT.config,
        spec=spec_of(STUDY_AT.config),
        code=code("genlab.workflow.league", *METRICS),
    shell:
        "genlab league --config {params.study} > {log} 2>&1"


rule report:
    input:
        outputs("league", "train", "sample", "floor", "reconstruct", "likelihood"),
        outputs(*UNDERSTOOD),
    output:
        report(
            STUDY_AT.report,
            caption="../docs/captions/report.rst",
            category="Report",
        ),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{COSTS}/report.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["light"],
        runtime=MINUTES["short"],
    params:
        study=STUDY_AT.config,
        spec=spec_of(STUDY_AT.config),
        code=code("genlab.workflow.report", *section_modules(), *METRICS),
    shell:
        "genlab report --config {params.study} > {log} 2>&1"


# Sends what the stages left in the runs' folders to MLflow, TensorBoard and Weights & Biases.
rule publish:
    input:
        outputs("train", "evaluate", "reconstruct", "rfid", "likelihood", *UNDERSTOOD),
    output:
        touch(STUDY_AT.published),
    log:
        f"{LOGS}/publish.log",
    benchmark:
        f"{COSTS}/publish.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["light"],
        runtime=MINUTES["short"],
    params:
        study=STUDY_AT.config,
        spec=spec_of(STUDY_AT.config),
        tracking=spec_of(STUDY_AT.tracking),
        # Another tracking store, or one made anew after it was deleted, gets everything.
        store=lambda w: store_number(STUDY_AT, STUDY.tracking.experiment or STUDY.name),
    shell:
        "genlab publish --config {params.study} > {log} 2>&1"
