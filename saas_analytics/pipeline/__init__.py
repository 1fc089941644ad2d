"""Runs of dbt and related tasks: results, lineage, incoming files, summaries, maintenance."""
