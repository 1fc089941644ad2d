"""Whether the data are right: freshness, anomalies, reports and alerts."""
