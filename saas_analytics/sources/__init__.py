"""Writes deliveries into the landing zone: whole files, each with its manifest."""
