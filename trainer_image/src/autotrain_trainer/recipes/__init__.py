"""Recipes: one module per task, read top to bottom, each with `prepare`. What follows is the same for all: running.py."""
