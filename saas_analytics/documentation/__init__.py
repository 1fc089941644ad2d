"""The documentation site: pages made from the project and the warehouse, beside those written by hand in docs/."""
