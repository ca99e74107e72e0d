"""What callers may know of themselves and change: who they are, where they may enter, what they may do."""
