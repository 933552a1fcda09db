"""An agent of tek that folds the notes in ``changes/`` into ``CHANGELOG.md``."""

from tek_changelog.agent import Changelog

__all__ = ["Changelog"]
