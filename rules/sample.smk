# model/ + samples/ROW/config.yaml -> samples.npy, grid.png, strip.png, cost.json
# model/ + held-out images         -> reconstructions/, and walks/ of a model on a Gaussian path


rule sample:
    input:
        weights=RUN.weights,
        architecture=RUN.architecture,
    output:
        samples=ROW.samples,
        note=note_path(ROW.samples),
        cost=ROW.cost,
        grid=report(
            ROW.grid,
            caption="../docs/captions/grid.rst",
            category="Samples",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "sampler": "{row}"},
        ),
    log:
        f"{LOGS}/{IN_RUN}/sample_{{row}}.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/sample_{{row}}.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["sample"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        config=str(ROW.config),
        spec=spec_of(ROW.config),
        code=lambda w: sampler_code(w.model, w.row),
    shell:
        "genlab sample --config {params.config} --gpus {resources.gpu} > {log} 2>&1"


# Rows that calibrate the table: held-out real images, and noise.
rule floor:
    input:
        images=DATA.images("test"),
    output:
        samples=STUDY_AT.floor("{dataset}", "{row}").samples,
        note=note_path(STUDY_AT.floor("{dataset}", "{row}").samples),
        grid=STUDY_AT.floor("{dataset}", "{row}").grid,
    log:
        f"{LOGS}/{{dataset}}/floor_{{row}}.log",
    benchmark:
        f"{COSTS}/{{dataset}}/floor_{{row}}.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=MEMORY_MB["light"],
        runtime=MINUTES["short"],
    params:
        config=str(STUDY_AT.floor("{dataset}", "{row}").config),
        spec=spec_of(STUDY_AT.floor("{dataset}", "{row}").config),
        code=code("genlab.data.floors"),
    shell:
        "genlab floor --config {params.config} > {log} 2>&1"


ruleorder: floor > sample


rule reconstruct:
    input:
        weights=RUN.weights,
        architecture=RUN.architecture,
        images=DATA.images("test"),
    output:
        images=RUN.reconstructed,
        note=note_path(RUN.reconstructed),
        metrics=RUN.reconstructions / "metrics.json",
        pairs=report(
            RUN.reconstructions / "pairs.png",
            caption="../docs/captions/pairs.rst",
            category="Reconstructions",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}"},
        ),
    log:
        f"{LOGS}/{IN_RUN}/reconstruct.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/reconstruct.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["features"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["short"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        code=lambda w: model_code(w.model, "genlab.sampling.stages"),
    shell:
        "genlab reconstruct --config {params.config} --gpus {resources.gpu} > {log} 2>&1"


rule walk:
    input:
        weights=RUN.weights,
        architecture=RUN.architecture,
        images=[DATA.images("test"), DATA.labels("test"), DATA.manifest],
    output:
        RUN.walks / "walks.json",
        report(
            directory(RUN.walk_figures),
            patterns=["{figure}.png", "{figure}.gif"],
            caption="../docs/captions/walks.rst",
            category="Walks",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    log:
        f"{LOGS}/{IN_RUN}/walk.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/walk.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["sample"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        code=lambda w: model_code(
            w.model,
            "genlab.sampling.walks",
            *[
                sampler_module(name)
                for name, kind in SAMPLERS.items()
                if kind.deterministic
            ],
        ),
    shell:
        "genlab walk --config {params.config} --gpus {resources.gpu} > {log} 2>&1"
