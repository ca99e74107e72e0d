"""Secrets of Azure that are leaving."""
