"""Retry tokens: a call that is sent again is answered again, and not done again."""
