"""Recipes: one module per task, read top to bottom."""
