#!/bin/bash
# Run by Snakemake in the new environment, from the working directory of the workflow.
set -euo pipefail
pip install --no-deps --no-build-isolation --editable .
