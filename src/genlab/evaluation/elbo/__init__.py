"""The ELBO laboratory: what the evidence lower bound is, shown where the truth is known.

`ppca` is a VAE with log p(x), ELBO and gap in closed form, on which `gradients` compares the
estimators of the ELBO's gradient. `bounds` has IWAE-K and standard errors. `decomposition` takes
the KL term apart; `hmc` and `ais` find log p(x) of a trained VAE, with a two-sided check on images
that it made itself; `local` splits the gap. `vae` puts these together for a trained VAE, and
`stages` writes what was measured as JSON.
"""
