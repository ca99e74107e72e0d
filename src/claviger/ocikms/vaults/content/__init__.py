"""What is in a vault when it comes to its end."""
