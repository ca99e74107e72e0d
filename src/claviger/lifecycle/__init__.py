"""Pure rules of life and deletion that every service builds its own tables with: no I/O, no clock, no randomness."""
