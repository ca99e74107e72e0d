"""Domains: the walls between those who share one installation."""
