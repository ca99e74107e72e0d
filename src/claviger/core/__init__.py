"""What every other part may know: errors, clock, ids, paging and sensitive values. No I/O here."""
