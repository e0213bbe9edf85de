# metrics, costs, pictures -> league.csv, league.md, report/index.html; everything -> MLflow


rule league:
    input:
        study=STUDY_AT.config,
        metrics=[run.metrics for run in MEASURED],
        costs=[row.cost for row in ROWS],
        summaries=[run.summary for run in TRAINED],
        training=[run.cost for run in TRAINED],
        reconstructions=RECONSTRUCTION_METRICS,
        likelihoods=LIKELIHOODS,
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
        code=code("genlab.report.league"),
    shell:
        "genlab league --config {input.study} > {log} 2>&1"


rule report:
    input:
        study=STUDY_AT.config,
        league=STUDY_AT.league,
        grids=[row.grid for row in ROWS + FLOORS],
        pairs=[folder / "pairs.png" for folder in RECONSTRUCTIONS],
        rulers=[run.summary for run in RULERS],
        likelihoods=LIKELIHOODS,
        understood=UNDERSTOOD + LABORATORY,
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
        code=code("genlab.report.page"),
    shell:
        "genlab report --config {input.study} > {log} 2>&1"


# Sends what the stages left in the runs' folders to MLflow, TensorBoard and Weights & Biases.
rule publish:
    input:
        study=STUDY_AT.config,
        tracking=STUDY_AT.tracking,
        summaries=[run.summary for run in TRAINED + RULERS],
        metrics=[run.metrics for run in DRAWN],
        reconstructions=RECONSTRUCTION_METRICS,
        likelihoods=LIKELIHOODS,
        understood=UNDERSTOOD + LABORATORY,
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
        # Another tracking store, or one made anew after it was deleted, gets everything.
        store=lambda w: store_number(STUDY_AT, STUDY.tracking.experiment or STUDY.name),
    shell:
        "genlab publish --config {input.study} > {log} 2>&1"
