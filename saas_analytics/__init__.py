"""The analytics stack: landing, pipeline, quality, metrics, documentation, and the stack they run in."""
