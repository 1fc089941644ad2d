"""The documentation site: the pages in docs/, and pages generated from the project."""
