"""Loads the orders of each day, and reports what each shop sold."""
