"""Landing: files become rows of the raw tables exactly once, at the speed of COPY."""
