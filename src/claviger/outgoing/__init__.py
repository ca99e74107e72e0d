"""What this server sends by itself: to whom it may, whom it trusts, webhooks."""
