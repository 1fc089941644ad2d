"""Sphinx's configuration of the documentation site. No page loads anything from outside."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from saas_analytics.documentation.diagrams import DiagramError, flowchart

project = "saas-analytics-stack"
author = "The saas-analytics-stack authors"
extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["misc.highlighting_failure"]  # Jinja in SQL
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = "saas-analytics-stack"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1a5fb4", "color-brand-content": "#1a5fb4"},
    "dark_css_variables": {"color-brand-primary": "#78aeed", "color-brand-content": "#78aeed"},
}
pygments_style = "tango"
pygments_dark_style = "monokai"


class Mermaid(Directive):
    """A flow chart in Mermaid's language, drawn when the site is built."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        try:
            drawn = flowchart("\n".join(self.content))
        except DiagramError as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", f'<div class="diagram-scroll">{drawn}</div>', format="html")]


def setup(app: Any) -> None:
    app.add_directive("mermaid", Mermaid)
