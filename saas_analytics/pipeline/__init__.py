"""dbt's runs and what surrounds them: results, lineage, incoming files, the summary of a run, maintenance."""
