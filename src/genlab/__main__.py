"""`python -m genlab` is the command `genlab`."""

from genlab.cli import main

main()
