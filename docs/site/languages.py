"""English and Chinese pages: the switch between them, and the navigation of each."""

from __future__ import annotations

import re
from typing import Any

CHINESE = re.compile("[\u4e00-\u9fff]")
PHRASES = {
    "On this page": "本页内容",
    "Next": "下一页",
    "Previous": "上一页",
    "Home": "首页",
    "Search": "搜索",
    "Back to top": "回到顶部",
    "Skip to content": "跳到正文",
}
"""What the theme says around a page."""


def counterpart(name: str) -> str:
    """The name that the same page has in the other language."""
    return name.removeprefix("zh/") if name.startswith("zh/") else f"zh/{name}"


def navigation_of(tree: str, chinese: bool) -> str:
    """The part of the navigation tree under captions in one language."""
    head, *parts = re.split(r'(?=<p class="caption")', tree)
    captions = [part.partition("</p>")[0] for part in parts]
    chosen = [
        part
        for part, caption in zip(parts, captions, strict=True)
        if bool(CHINESE.search(caption)) == chinese
    ]
    cut_off = parts and parts[-1] not in chosen and tree.rstrip().endswith("</div>")
    return head + "".join(chosen) + ("</div>" if cut_off else "")


def page_context(app: Any, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Sphinx's event: what the templates of a page are given."""
    chinese = name.startswith("zh/")
    other = counterpart(name)
    if other in app.env.found_docs:
        context["other_language"] = (context["pathto"](other), "English" if chinese else "中文")
    if "furo_navigation_tree" in context:
        context["furo_navigation_tree"] = navigation_of(context["furo_navigation_tree"], chinese)
    if chinese:
        context["language"] = "zh-CN"
        context["master_doc"] = "zh/index"
        translate = context.get("_") or (lambda text: text)

        def in_chinese(text: str, *args: Any, **kwargs: Any) -> str:
            return PHRASES.get(text.strip()) or str(translate(text))

        context["_"] = context["gettext"] = in_chinese
