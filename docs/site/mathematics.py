r"""Displayed formulas reach MathJax as they are written.

Sphinx would put a formula with line breaks into `split`, in which `\tag` is not allowed.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


class KeepDisplayedMath(SphinxPostTransform):
    """Marks displayed formulas as complete."""

    default_priority = 900

    def run(self, **kwargs: object) -> None:
        for node in self.document.findall(nodes.math_block):
            if not node.get("no-wrap", node.get("nowrap", False)):
                text = nodes.Text(rf"\[{node.astext()}\]")
                node["no-wrap"] = node["nowrap"] = True
                node.children = [text]
