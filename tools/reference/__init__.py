"""The reference, made from the code: pages of ``docs/reference/``, ``schemas/``, and the man page.

``python -m tools.reference`` writes every file anew; ``--check`` names the ones that are stale.
"""
