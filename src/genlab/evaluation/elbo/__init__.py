"""The ELBO study: what the evidence lower bound is, shown where the truth is known.

`ppca` is a VAE with log p(x), ELBO and gap in closed form; `ppca_study` compares bounds and, with
`gradients`, the estimators of the ELBO's gradient on it. `bounds` has IWAE-K and standard errors.
`decomposition` splits the KL term; `hmc` and `ais` estimate log p(x) of a trained VAE, with a
two-sided check on images sampled from it; `local` splits the gap. `vae` applies these to a trained
VAE.
"""
