# weights of several points of a training -> the quality of samples at each, curve/curve.json


use rule compute as curve with:
    input:
        "<run>/model/weights.safetensors",
        "<run>/model/summary.json",
        "<run>/model/at",
        "<data>/manifest.json",
        noted(
            "<data>/train_images.npy",
            "<data>/train_captions.npy",
            "<data>/tokens.npy",
        ),
        # Only their notes are read: reference features record the checksum of their images
        noted("<data>/test_images.npy"),
        reference=REFERENCE,
        weights=lambda w: extractor_files(w.dataset),
    output:
        "<run>/curve/curve.json",
        "<run>/tracking/curve.json",
    log:
        "<logs>/{dataset}/{model}/seed{seed}/curve.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/curve.tsv"
    threads: HALF
    params:
        call=f"curve --config {RUN.config}",
        spec=spec_of(RUN.curve_config),
        evaluation=spec_of(STUDY_AT.evaluation),
        code=code_of("curve"),
