"""What happened, written so that nobody can change it unnoticed: an append-only hash tree with signed checkpoints."""
