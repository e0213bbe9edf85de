# a run's latent space, what it draws when it is asked, the bound of a VAE -> figures and numbers


use rule compute as explore with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        "<data>/train_images.npy",
        "<data>/train_labels.npy",
        "<data>/test_images.npy",
        "<data>/test_labels.npy",
    output:
        "<run>/latents/latents.json",
        report(
            directory("<run>/latents/figures"),
            patterns=["{figure}.png", "{figure}.gif"],
            caption="../docs/captions/latents.rst",
            category="Latent space",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    pathvars:
        job="{dataset}/{model}/seed{seed}/explore",
    params:
        call=f"explore --config {RUN.config}",
        spec=spec_of(RUN.config),
        code=code_of("explore"),


use rule compute as disentangle with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        "<data>/train_images.npy",
        "<data>/train_factors.npy",
        "<data>/test_images.npy",
        "<data>/test_factors.npy",
    output:
        "<run>/disentanglement.json",
    pathvars:
        job="{dataset}/{model}/seed{seed}/disentangle",
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
        "<data>/tokens.npy",
        "<data>/tokenizer.json",
        ARRAYS,
    output:
        "<run>/prompts/prompts.json",
        "<run>/prompts/kept.npy",
        "<run>/prompts/kept.npy.json",
        report(
            directory("<run>/prompts/figures"),
            patterns=["{figure}.png"],
            caption="../docs/captions/prompts.rst",
            category="Prompts",
            subcategory="{dataset}",
            labels={"model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    pathvars:
        job="{dataset}/{model}/seed{seed}/prompts",
    threads: HALF
    params:
        call=f"prompts --config {RUN.config}",
        spec=spec_of(RUN.prompts_config),
        code=code_of("prompts"),


use rule compute as elbo with:
    input:
        "<run>/model/weights.safetensors",
        "<data>/manifest.json",
        "<data>/test_images.npy",
    output:
        "<run>/elbo.json",
    pathvars:
        job="{dataset}/{model}/seed{seed}/elbo",
    params:
        call=f"elbo --config {RUN.config}",
        spec=spec_of(RUN.config),
        elbo_study=spec_of(STUDY_AT.elbo_study_config),
        code=code_of("elbo"),


use rule compute as elbo_study with:
    input:
        "<data>/manifest.json",
        "<data>/train_images.npy",
        "<data>/test_images.npy",
    output:
        "<study>/{dataset}/elbo-study/ppca.json",
        "<study>/{dataset}/elbo-study/gradients.json",
    pathvars:
        job="{dataset}/elbo-study",
    params:
        call=f"elbo-study --config {STUDY_AT.config} --dataset {{dataset}}",
        spec=spec_of(STUDY_AT.elbo_study_config),
        code=code_of("elbo_study"),
