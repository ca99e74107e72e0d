"""The databases: SQLite (embedded default) and PostgreSQL behind one contract, with group commit and migrations."""
