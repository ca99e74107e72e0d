"""The key of a vault that material is wrapped to on its way in."""
