"""Notices: signed webhooks that tell other systems what happened to the estate, and what is about to."""
