"""Settings of Sphinx; `docs/site/build.py` builds the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "site"))

import api
import languages
import mathematics

project = "GenLab"
html_title = "GenLab"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]

# Markdown
nb_execution_mode = "off"  # notebooks are shown as they ran
myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_dmath_allow_space = False  # "$ genlab" is no formula
myst_dmath_allow_digits = False
myst_heading_anchors = 4
highlight_language = "none"

# Docstrings
default_role = "py:obj"
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "ignore-module-all": True,
}
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 120
add_module_names = False
toc_object_entries = False  # the pages have hundreds, and each page shows the whole navigation
# Names that lead nowhere are shown as code, without a link.
nitpick_ignore_regex = [("py:.*", api.NO_PAGE)]

# HTML
html_theme = "furo"
pygments_dark_style = "github-dark"
html_theme_options = {"top_of_page_buttons": ["view"]}  # where the switch of languages stands
html_copy_source = False
html_show_copyright = False
html_static_path = ["site/static"]
html_favicon = "site/static/icon.svg"
html_css_files = ["site.css"]
templates_path = ["site/templates"]


def setup(app: Any) -> None:
    """Connect the project's own handlers."""
    app.connect("autodoc-process-docstring", api.process_docstring)
    app.connect("autodoc-skip-member", api.skip_member)
    app.connect("html-page-context", languages.page_context, priority=900)
    app.add_transform(api.LeaveOutLongValues)
    app.add_post_transform(mathematics.KeepDisplayedMath)
