# model/ + samples/ROW/config.yaml -> samples.npy, requested.npy, grid.png, cost.json, figures/
# model/ + held-out images         -> reconstructions/, and walks/ of a model on a Gaussian path


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


# Rows that calibrate the table: held-out real images, and noise.
use rule light as floor with:
    input:
        "<data>/manifest.json",
        "<data>/test_images.npy",
    output:
        "<floor>/samples.npy",
        "<floor>/samples.npy.json",
        "<floor>/grid.png",
    pathvars:
        job="{dataset}/floor_{row}",
    params:
        call=f"floor --config {FLOOR_ROW.config}",
        spec=spec_of(FLOOR_ROW.config),
        code=code_of("floor"),


ruleorder: floor > sample


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


use rule compute as walk with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        "<data>/test_images.npy",
        "<data>/test_labels.npy",
        "<data>/train_captions.npy",
        "<data>/tokens.npy",
    output:
        "<run>/walks/walks.json",
        report(
            directory("<run>/walks/figures"),
            patterns=["{figure}.png", "{figure}.gif"],
            caption="../docs/captions/walks.rst",
            category="Walks",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    pathvars:
        job="{dataset}/{model}/seed{seed}/walk",
    threads: HALF
    params:
        call=f"walk --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("walk"),
