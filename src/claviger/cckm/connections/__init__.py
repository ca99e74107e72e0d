"""Connections of all clouds, as far as they are alike: names, tests, lists, deletion."""
