"""Rights in containers: who may do what in a vault of the domain (CCKM contract §8)."""
