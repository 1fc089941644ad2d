"""The stack in containers: what a container runs, and the commands that bring them up and down."""
