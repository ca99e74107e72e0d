"""Synchronisation of any cloud's vaults: jobs, patience, the brake, progress; what a cloud has of its own is with it."""
