"""Generates the files of the synthetic company (`generate`); `land` lands files."""
