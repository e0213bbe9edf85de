# a run's latent space, what it draws when it is asked, the bound of a VAE -> figures and numbers


use rule compute as explore with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        noted(
            "<data>/train_images.npy",
            "<data>/train_labels.npy",
            "<data>/test_images.npy",
            "<data>/test_labels.npy",
        ),
    output:
        "<run>/latents/latents.json",
        "<run>/tracking/explore.json",
        report(
            directory("<run>/latents/figures"),
            patterns=["{figure}.png", "{figure}.gif"],
            caption="../docs/captions/latents.rst",
            category="Latent space",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    log:
        "<logs>/{dataset}/{model}/seed{seed}/explore.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/explore.tsv"
    params:
        call=f"explore --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("explore"),


use rule compute as disentangle with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        noted(
            "<data>/train_images.npy",
            "<data>/train_factors.npy",
            "<data>/test_images.npy",
            "<data>/test_factors.npy",
        ),
    output:
        "<run>/disentanglement.json",
        "<run>/tracking/disentangle.json",
    log:
        "<logs>/{dataset}/{model}/seed{seed}/disentangle.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/disentangle.tsv"
    params:
        call=f"disentangle --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("disentangle"),


# CLIP ranks the candidates, the judge says which are right; both are runs like any other.
use rule compute as prompts with:
    input:
        "<run>/model/weights.safetensors",
        expand(
            "<study>/{dataset}/{evaluator}/seed0/model/{file}",
            evaluator=["clip", "judge"],
            file=["weights.safetensors", "summary.json"],
            allow_missing=True,
        ),
        "<data>/manifest.json",
        "<data>/captions.json",
        noted("<data>/tokens.npy"),
        "<data>/tokenizer.json",
        noted(*ARRAYS),
    output:
        "<run>/prompts/prompts.json",
        noted("<run>/prompts/kept.npy"),
        "<run>/tracking/prompts.json",
        report(
            directory("<run>/prompts/figures"),
            patterns=["{figure}.png"],
            caption="../docs/captions/prompts.rst",
            category="Prompts",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    log:
        "<logs>/{dataset}/{model}/seed{seed}/prompts.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/prompts.tsv"
    threads: HALF
    params:
        call=f"prompts --config {RUN.config}",
        spec=spec_of(RUN.prompts_config),
        code=code_of("prompts"),


use rule compute as elbo with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        noted("<data>/test_images.npy"),
    output:
        "<run>/elbo.json",
        "<run>/tracking/elbo.json",
    log:
        "<logs>/{dataset}/{model}/seed{seed}/elbo.log",
    benchmark:
        "<benchmarks>/{dataset}/{model}/seed{seed}/elbo.tsv"
    params:
        call=f"elbo --config {RUN.config}",
        spec=spec_of(RUN.config),
        elbo_study=spec_of(STUDY_AT.elbo_study_config),
        code=code_of("elbo"),


use rule compute as elbo_study with:
    input:
        "<data>/manifest.json",
        noted(
            "<data>/train_images.npy",
            "<data>/test_images.npy",
        ),
    output:
        "<study>/{dataset}/elbo-study/ppca.json",
        "<study>/{dataset}/elbo-study/gradients.json",
    log:
        "<logs>/{dataset}/elbo-study.log",
    benchmark:
        "<benchmarks>/{dataset}/elbo-study.tsv"
    params:
        call=f"elbo-study --config {STUDY_AT.config} --dataset {{dataset}}",
        spec=spec_of(STUDY_AT.elbo_study_config),
        code=code_of("elbo_study"),
