"""The analytics stack: landing, pipeline, quality, metrics, documentation, and their runtime."""
