"""Vaults and managed HSMs of Azure under management: discovery, records, who may do what in them, removal."""
