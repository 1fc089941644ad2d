"""Data quality: freshness, anomalies, reports and alerts."""
