"""Synchronisation of any cloud's vaults: jobs, patience, the brake, progress. The rest is with each cloud."""
