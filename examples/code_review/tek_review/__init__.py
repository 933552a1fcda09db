"""Agents of tek that review Python sources by rules: ``review`` writes down what it finds, ``review-fix`` repairs."""

from tek_review.agents import Fixer, Reviewer

__all__ = ["Fixer", "Reviewer"]
