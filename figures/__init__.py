"""Trials that break Claviger on purpose, many times, and count what they find: `make figures`, or `python -m figures`.

`crash` kills the server at random moments under load; `retention` moves its clock about. Each is compared with a simple
model that shares no code with the product, prints its seed, and should end in "0 found".
"""
