"""The embedded stack: PostgreSQL and Airflow on this machine, without a Docker engine."""
