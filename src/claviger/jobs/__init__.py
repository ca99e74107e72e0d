"""Durable work: what was begun is finished, whatever ends the process in between."""
