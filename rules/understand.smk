# a run's latent space, what it draws when it is asked, the bound of a VAE -> figures and numbers


rule explore:
    input:
        weights=RUN.weights,
        images=[DATA.images("train"), DATA.images("test")],
        labels=[DATA.labels("train"), DATA.labels("test"), DATA.manifest],
    output:
        RUN.latents / "latents.json",
        report(
            directory(RUN.latent_figures),
            patterns=["{figure}.png", "{figure}.gif"],
            caption="../docs/captions/latents.rst",
            category="Latent space",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    log:
        f"{LOGS}/{IN_RUN}/explore.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/explore.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["evaluate"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        code=lambda w: model_code(w.model, "genlab.workflow.explore"),
    shell:
        "genlab explore --config {params.config} --gpus {resources.gpu} > {log} 2>&1"


rule disentangle:
    input:
        weights=RUN.weights,
        images=[DATA.images("train"), DATA.images("test")],
        factors=[DATA.factors("train"), DATA.factors("test"), DATA.manifest],
    output:
        RUN.disentanglement,
    log:
        f"{LOGS}/{IN_RUN}/disentangle.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/disentangle.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["evaluate"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        code=lambda w: model_code(w.model, "genlab.workflow.disentangle"),
    shell:
        "genlab disentangle --config {params.config} --gpus {resources.gpu} > {log} 2>&1"


# CLIP ranks the candidates, the judge says which are right; both are runs like any other.
rule prompts:
    input:
        weights=RUN.weights,
        clip=STUDY_AT.clip("{dataset}").weights,
        judge=STUDY_AT.judge("{dataset}").weights,
        images=[DATA.images("test"), DATA.factors("test"), DATA.manifest],
    output:
        RUN.prompts / "prompts.json",
        RUN.kept,
        note_path(RUN.kept),
        report(
            directory(RUN.prompt_figures),
            patterns=["{figure}.png"],
            caption="../docs/captions/prompts.rst",
            category="Prompts",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    log:
        f"{LOGS}/{IN_RUN}/prompts.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/prompts.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["sample"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.prompts_config),
        code=lambda w: prompts_code(w.model),
    shell:
        "genlab prompts --config {params.config} --gpus {resources.gpu} > {log} 2>&1"


rule elbo:
    input:
        weights=RUN.weights,
        images=DATA.images("test"),
    output:
        RUN.elbo,
    log:
        f"{LOGS}/{IN_RUN}/elbo.log",
    benchmark:
        f"{COSTS}/{IN_RUN}/elbo.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["evaluate"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        config=str(RUN.config),
        spec=spec_of(RUN.config),
        laboratory=spec_of(STUDY_AT.laboratory_config),
        code=lambda w: model_code(w.model, "genlab.workflow.elbo"),
    shell:
        "genlab elbo --config {params.config} --gpus {resources.gpu} > {log} 2>&1"


rule laboratory:
    input:
        images=[DATA.images("train"), DATA.images("test")],
    output:
        STUDY_AT.laboratory("{dataset}") / "ppca.json",
        STUDY_AT.laboratory("{dataset}") / "gradients.json",
    log:
        f"{LOGS}/{{dataset}}/laboratory.log",
    benchmark:
        f"{COSTS}/{{dataset}}/laboratory.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: THREADS["evaluate"]
    resources:
        gpu=GPU,
        mem_mb=MEMORY_MB["compute"],
        runtime=MINUTES["sample"],
    params:
        spec=spec_of(STUDY_AT.laboratory_config),
        study=STUDY_AT.config,
        code=code("genlab.workflow.elbo_study"),
    shell:
        "genlab laboratory --config {params.study} --dataset {wildcards.dataset}"
        " --gpus {resources.gpu} > {log} 2>&1"
