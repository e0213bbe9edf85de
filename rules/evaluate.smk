# images -> features, once for each extractor; features of a row + of the training set -> metrics


FEATURES = [f"{name}.npz" for name in STUDY.evaluation.extractors]
REFERENCE = expand(
    "<study>/{dataset}/reference/{split}/{file}",
    split=["train", "test"],
    file=FEATURES,
    allow_missing=True,
)


use rule compute as features with:
    input:
        noted("<row>/samples.npy"),
        weights=lambda w: extractor_files(w.dataset),
    output:
        expand("<row>/features/{file}", file=FEATURES, allow_missing=True),
    log:
        "<logs>/{dataset}/{model}/seed{seed}/features_{row}.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/features_{row}.tsv"
    params:
        call=lambda w, input, output: (
            f"features --config {STUDY_AT.config} --dataset {w.dataset}"
            f" --images {input[0]} --out {Path(output[0]).parent}"
        ),
        extractors=STUDY.evaluation.extractors,
        code=code_of("features"),


use rule features as reference_features with:
    input:
        noted("<data>/{split}_images.npy"),
        weights=lambda w: extractor_files(w.dataset),
    output:
        expand(
            "<study>/{dataset}/reference/{split}/{file}",
            file=FEATURES,
            allow_missing=True,
        ),
    log:
        "<logs>/{dataset}/reference_{split}.log",
    benchmark:
        "<benchmarks>/{dataset}/reference_{split}.tsv"
    wildcard_constraints:
        split="train|test",


use rule light as evaluate with:
    input:
        "<data>/manifest.json",
        noted(
            "<data>/train_images.npy",
            "<data>/train_labels.npy",
            "<data>/test_images.npy",
            "<data>/test_labels.npy",
        ),
        reference=REFERENCE,
        rows=lambda w: row_files(w.dataset, w.model, w.seed),
    output:
        "<run>/metrics.json",
    log:
        "<logs>/{dataset}/{model}/seed{seed}/evaluate.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/evaluate.tsv"
    resources:
        gpu=0,
        mem_mb=memory(4000),
        runtime=30,
    params:
        call=lambda w: " ".join(
            [
                f"evaluate --run {RUN.folder}".format(**dict(w.items())),
                *(f"--row {row}" for row in rows_of(STUDY, w.model)),
            ]
        ),
        spec=spec_of(STUDY_AT.evaluation),
        code=code_of("evaluate"),


# Reconstructions, measured as if a generator had drawn them.
use rule compute as rfid with:
    input:
        noted("<run>/reconstructions/images.npy"),
        "<data>/manifest.json",
        noted("<data>/train_images.npy"),
        weights=lambda w: extractor_files(w.dataset),
        reference=expand(
            "<study>/{dataset}/reference/train/{file}",
            file=FEATURES,
            allow_missing=True,
        ),
    output:
        "<run>/reconstructions/rfid.json",
        "<run>/tracking/rfid.json",
    log:
        "<logs>/{dataset}/{model}/seed{seed}/rfid.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/rfid.tsv"
    params:
        call=f"rfid --config {RUN.config}",
        spec=spec_of(RUN.config),
        evaluation=spec_of(STUDY_AT.evaluation),
        code=code_of("rfid"),


use rule compute as likelihood with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        noted("<data>/test_images.npy"),
    output:
        "<run>/likelihood.json",
        "<run>/tracking/likelihood.json",
    log:
        "<logs>/{dataset}/{model}/seed{seed}/likelihood.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/likelihood.tsv"
    params:
        call=lambda w: (
            f"likelihood --config {RUN.config} {likelihood_options(w.model)}".format(
                **dict(w.items())
            )
        ),
        spec=spec_of(RUN.config),
        code=code_of("likelihood"),
