"""The audit log as the API shows it: records, signed checkpoints, proofs (CCKM contract, common §10)."""
