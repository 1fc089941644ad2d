"""The documentation site: pages made from the project and the warehouse, and the pages in docs/."""
