"""An audit for memorisation: are samples nearer to training images than fresh images are?

`neighbours` finds the nearest training images in features and in pixels, and `ratios` says which
samples are copies of them. `copying` compares their distances with those of held-out images,
`parts` looks for copied parts, and `likelihood` computes FLD.
"""
