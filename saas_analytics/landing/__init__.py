"""Landing: files become rows of the raw tables, exactly once, explained, at the speed of COPY."""
