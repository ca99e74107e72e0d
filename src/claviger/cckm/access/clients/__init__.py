"""Clients: programs that sign in by a credential of their own, each as one user."""
