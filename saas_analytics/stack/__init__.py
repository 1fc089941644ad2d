"""Starts, stops and checks the stack: embedded on this machine, or in containers."""
