# features of all rows -> ranking.json; metrics, costs, pictures -> league.*, measurements.*,
# report/index.html; everything -> MLflow


use rule light as rank with:
    input:
        MANIFESTS,
        REAL_IMAGES,
        outputs("features", "reference_features", "sample", "calibrate"),
    output:
        "<study>/ranking.json",
    log:
        "<logs>/rank.log",
    benchmark:
        "<benchmarks>/rank.tsv"
    params:
        call=f"rank --config {STUDY_AT.config}",
        spec=spec_of(STUDY_AT.config),
        code=code_of("rank"),


use rule light as league with:
    input:
        MANIFESTS,
        outputs(
            "rank",
            "train",
            "sample",
            "evaluate",
            "reconstruct",
            "rfid",
            "explore",
            "likelihood",
        ),
        benchmarks("train"),
    output:
        report(
            "<study>/league.csv",
            caption="../docs/captions/league.rst",
            category="League",
        ),
        "<study>/league.parquet",
        "<study>/league.md",
        "<study>/ranking.md",
        "<study>/league.tex",
        report(
            "<study>/league.html",
            caption="../docs/captions/league.rst",
            category="League",
        ),
        "<study>/measurements.csv",
        "<study>/measurements.parquet",
        of_jobs("<study>/{dataset}/{model}/seed{seed}/tracking/league.json", "train"),
        of_jobs(
            "<study>/{dataset}/{model}/seed{seed}/tracking/league_{row}.json", "sample"
        ),
    log:
        "<logs>/league.log",
    benchmark:
        "<benchmarks>/league.tsv"
    params:
        call=f"league --config {STUDY_AT.config}",
        spec=spec_of(STUDY_AT.config),
        code=code_of("league"),


use rule light as report with:
    input:
        MANIFESTS,
        REAL_IMAGES,
        outputs(
            "rank",
            "league",
            "train",
            "sample",
            "calibrate",
            "evaluate",
            "reconstruct",
            "likelihood",
        ),
        outputs(*UNDERSTOOD),
        benchmarks(*(name for name in JOBS if name not in ("report", "publish"))),
    output:
        report(
            "<study>/report/index.html",
            caption="../docs/captions/report.rst",
            category="Report",
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    params:
        call=f"report --config {STUDY_AT.config}",
        spec=spec_of(STUDY_AT.config),
        code=code_of("report"),


# Sends what the stages left in the runs' folders to MLflow, TensorBoard and Weights & Biases.
use rule light as publish with:
    input:
        MANIFESTS,
        outputs(
            "train",
            "sample",
            "league",
            "reconstruct",
            "rfid",
            "likelihood",
            *UNDERSTOOD,
        ),
    output:
        touch("<study>/published"),
    log:
        "<logs>/publish.log",
    benchmark:
        "<benchmarks>/publish.tsv"
    params:
        call=f"publish --config {STUDY_AT.config}",
        spec=spec_of(STUDY_AT.config),
        tracking=spec_of(STUDY_AT.tracking),
        # Another tracking store, or one made anew after it was deleted, gets everything.
        store=lambda w: store_number(STUDY_AT, STUDY.tracking.experiment_of(STUDY.name)),
