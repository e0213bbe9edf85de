# model/ + samples/ROW/config.yaml -> samples.npy, requested.npy, grid.png, cost.json, figures/
# model/ + held-out images         -> reconstructions/, and trajectories/ of a model on a Gaussian path


use rule compute as sample with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        "<data>/train_labels.npy",
        "<data>/train_captions.npy",
        "<data>/tokens.npy",
    output:
        "<row>/samples.npy",
        "<row>/samples.npy.json",
        "<row>/requested.npy",
        "<row>/requested.npy.json",
        "<row>/cost.json",
        report(
            "<row>/grid.png",
            caption="../docs/captions/grid.rst",
            category="Samples",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "sampler": "{row}"},
        ),
        directory("<row>/figures"),
    pathvars:
        job="{dataset}/{model}/seed{seed}/sample_{row}",
    threads: HALF
    params:
        call=f"sample --config {ROW.config}",
        spec=spec_of(ROW.config),
        code=code_of("sample"),


# Rows that calibrate the table: real images, and images with a known flaw.
use rule light as calibrate with:
    input:
        "<data>/manifest.json",
        "<data>/train_images.npy",
        "<data>/train_labels.npy",
        "<data>/test_images.npy",
        "<data>/test_labels.npy",
    output:
        "<calibration>/samples.npy",
        "<calibration>/samples.npy.json",
        "<calibration>/grid.png",
    pathvars:
        job="{dataset}/calibrate_{row}",
    params:
        call=f"calibrate --config {CALIBRATION_ROW.config}",
        spec=spec_of(CALIBRATION_ROW.config),
        code=code_of("calibrate"),


ruleorder: calibrate > sample


use rule compute as reconstruct with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        "<data>/test_images.npy",
    output:
        "<run>/reconstructions/images.npy",
        "<run>/reconstructions/images.npy.json",
        "<run>/reconstructions/metrics.json",
        report(
            "<run>/reconstructions/pairs.png",
            caption="../docs/captions/pairs.rst",
            category="Reconstructions",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}"},
        ),
    pathvars:
        job="{dataset}/{model}/seed{seed}/reconstruct",
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=30,
    params:
        call=f"reconstruct --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("reconstruct"),


use rule compute as trajectories with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        "<data>/test_images.npy",
        "<data>/test_labels.npy",
        "<data>/train_captions.npy",
        "<data>/tokens.npy",
    output:
        "<run>/trajectories/trajectories.json",
        report(
            directory("<run>/trajectories/figures"),
            patterns=["{figure}.png", "{figure}.gif"],
            caption="../docs/captions/trajectories.rst",
            category="Walks",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    pathvars:
        job="{dataset}/{model}/seed{seed}/trajectories",
    threads: HALF
    params:
        call=f"trajectories --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("trajectories"),
