# What the rules have in common: a rule is one call of the command `genlab`, with a log and a
# benchmark in a place of their own. Those below are never run; the others inherit from them, give
# `job` (the place) and `call` (the command), and declare what else they need.


rule light:  # moments of one core
    log:
        f"{LOGS}/<job>.log",
    benchmark:
        f"{COSTS}/<job>.tsv"
    pathvars:
        job="light",
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1000,
        runtime=30,
    params:
        call="--help",
    shell:
        "genlab {params.call} > {log} 2>&1"


rule compute:  # a network, on a GPU where there is one
    log:
        f"{LOGS}/<job>.log",
    benchmark:
        f"{COSTS}/<job>.tsv"
    pathvars:
        job="compute",
    conda:
        "../envs/genlab.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=720,
    params:
        call="--help",
    shell:
        "genlab {params.call} --gpus {resources.gpu} > {log} 2>&1"
