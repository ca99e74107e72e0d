"""What the OpenAPI document (`cckm/openapi.py`) and its page (`cckm/reference.py`) are made with."""
