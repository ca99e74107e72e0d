"""Plans: what a changing call would do, found out by walking its very path and taking everything back."""
