"""Users: who may sign in, and where each of them lives."""
