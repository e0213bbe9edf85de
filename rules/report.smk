# metrics, costs, pictures -> league.csv, league.md, report/index.html; everything -> MLflow


rule league:
    input:
        study=STUDY_AT.config,
        metrics=[row.metrics for row in ROWS + FLOORS],
        costs=[row.cost for row in ROWS],
        summaries=[run.summary for run in TRAINED],
        training=[run.cost for run in TRAINED],
        reconstructions=[folder / "metrics.json" for folder in RECONSTRUCTIONS],
    output:
        table=report(
            STUDY_AT.league,
            caption="../docs/captions/league.rst",
            category="League",
        ),
        markdown=STUDY_AT.league_markdown,
    params:
        code=code("genlab.report.league"),
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
    shell:
        "genlab league --config {input.study} > {log} 2>&1"


rule report:
    input:
        study=STUDY_AT.config,
        league=STUDY_AT.league,
        grids=[row.grid for row in ROWS + FLOORS],
        pairs=[folder / "pairs.png" for folder in RECONSTRUCTIONS],
        classifiers=[run.summary for run in CLASSIFIERS],
    output:
        report(
            STUDY_AT.report,
            caption="../docs/captions/report.rst",
            category="Report",
        ),
    params:
        code=code("genlab.report.page"),
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
    shell:
        "genlab report --config {input.study} > {log} 2>&1"


# Sends what the stages left in a run's folder to MLflow, TensorBoard and Weights & Biases.
rule publish:
    input:
        config=RUN.config,
        tracking=STUDY_AT.tracking,
        store=ancient(STUDY_AT.store),
        weights=RUN.weights,
        metrics=lambda w: [
            row.metrics for row in ROWS if row.run == STUDY_AT.run(w.dataset, w.model, w.seed)
        ],
        reconstructions=lambda w: [
            folder / "metrics.json"
            for folder in RECONSTRUCTIONS
            if folder.parent == STUDY_AT.run(w.dataset, w.model, w.seed).folder
        ],
    output:
        touch(RUN.outbox / "published"),
    log:
        f"{LOGS}/{IN_RUN}/publish.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/publish.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["light"],
        runtime=MINUTES["short"],
    shell:
        "genlab publish --config {input.config} > {log} 2>&1"
