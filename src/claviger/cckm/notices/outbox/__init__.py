"""The outbox of notices: what is written there by a change is delivered, whatever ends the server in between."""
