"""Prints the rules and their dependencies as the Mermaid graph of docs/workflow.md.

python docs/graph.py
"""

from __future__ import annotations

import re
import subprocess


def edges(mermaid: str) -> list[tuple[str, str]]:
    """(from, to) for every dependency in `snakemake --rulegraph mermaid-js`, without `all`."""
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", mermaid))
    pairs = [(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", mermaid)]
    return sorted(pair for pair in pairs if "all" not in pair)


def graph() -> str:
    """The graph of the default study as docs/workflow.md holds it."""
    command = ["snakemake", "--rulegraph", "mermaid-js", "--cores", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [f"    {a} --> {b}" for a, b in edges(said)]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])


if __name__ == "__main__":
    print(graph())
