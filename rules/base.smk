# What the rules have in common: a rule is one call of the command `genlab`, with a log and a
# benchmark in a place of their own. Those below are never run; the others inherit from them, give
# these places and `call` (the command), and declare what else they need.


rule light:  # moments of one core
    log:
        "<logs>/light.log",
    benchmark:
        "<benchmarks>/light.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=memory(1000),
        runtime=30,
    params:
        call="--help",
    shell:
        f"genlab {{params.call}} {LOGGED}"


rule compute:  # a network, on a GPU where there is one
    log:
        "<logs>/compute.log",
    benchmark:
        "<benchmarks>/compute.tsv"
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=720,
    params:
        call="--help",
    shell:
        f"genlab {{params.call}} --gpus {{resources.gpu}} {LOGGED}"
