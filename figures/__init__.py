"""Trials that break Claviger on purpose, many times, and count what they find: `make figures`, or `python -m figures`.

`crash` kills the server at random moments under load; `retention` moves its clock about. Each is compared with a simple
model that shares no code with the product. `fuzz` sends requests drawn from API documents, right and wrong; `rawfuzz`
spoils them at the level of bytes; `leaks` pushes values in by every route and every error, and searches for them. Each
prints its seed, and should end in "0 found".
"""
