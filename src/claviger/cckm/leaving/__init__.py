"""What is leaving: everything that was deleted and can still be brought back, and how."""
