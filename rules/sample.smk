# model/ + samples/ROW/config.yaml -> samples.npy, requested.npy, grid.png, cost.json, figures/
# model/ + held-out images         -> reconstructions/, and trajectories/ of a model on a Gaussian path


use rule compute as sample with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        noted(
            "<data>/train_labels.npy",
            "<data>/train_captions.npy",
            "<data>/tokens.npy",
        ),
    output:
        noted("<row>/samples.npy", "<row>/requested.npy"),
        "<row>/cost.json",
        report(
            "<row>/grid.png",
            caption="../docs/captions/grid.rst",
            category="Samples",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "sampler": "{row}"},
        ),
        directory("<row>/figures"),
    log:
        "<logs>/{dataset}/{model}/seed{seed}/sample_{row}.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/sample_{row}.tsv"
    threads: HALF
    params:
        call=f"sample --config {ROW.config}",
        spec=spec_of(ROW.config),
        code=code_of("sample"),


# Rows that calibrate the table: real images, and images with a known flaw.
use rule light as calibrate with:
    input:
        "<data>/manifest.json",
        noted(
            "<data>/train_images.npy",
            "<data>/train_labels.npy",
            "<data>/test_images.npy",
            "<data>/test_labels.npy",
        ),
    output:
        noted("<calibration>/samples.npy"),
        "<calibration>/grid.png",
    log:
        "<logs>/{dataset}/calibrate_{row}.log",
    benchmark:
        "<benchmarks>/{dataset}/calibrate_{row}.tsv"
    params:
        call=f"calibrate --config {CALIBRATION_ROW.config}",
        spec=spec_of(CALIBRATION_ROW.config),
        code=code_of("calibrate"),


ruleorder: calibrate > sample


use rule compute as reconstruct with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        noted("<data>/test_images.npy"),
    output:
        noted("<run>/reconstructions/images.npy"),
        "<run>/reconstructions/metrics.json",
        "<run>/tracking/reconstruct.json",
        report(
            "<run>/reconstructions/pairs.png",
            caption="../docs/captions/pairs.rst",
            category="Reconstructions",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}"},
        ),
    log:
        "<logs>/{dataset}/{model}/seed{seed}/reconstruct.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/reconstruct.tsv"
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=30,
    params:
        call=f"reconstruct --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("reconstruct"),


use rule compute as trajectories with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        noted(
            "<data>/test_images.npy",
            "<data>/test_labels.npy",
            "<data>/test_captions.npy",
            "<data>/train_captions.npy",
            "<data>/tokens.npy",
        ),
    output:
        "<run>/trajectories/trajectories.json",
        "<run>/tracking/trajectories.json",
        report(
            directory("<run>/trajectories/figures"),
            patterns=["{figure}.png", "{figure}.gif"],
            caption="../docs/captions/trajectories.rst",
            category="Walks",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    log:
        "<logs>/{dataset}/{model}/seed{seed}/trajectories.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/trajectories.tsv"
    threads: HALF
    params:
        call=f"trajectories --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("trajectories"),
