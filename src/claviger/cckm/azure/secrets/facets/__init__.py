"""The counts by which lists of secrets know their totals and find their pages."""
