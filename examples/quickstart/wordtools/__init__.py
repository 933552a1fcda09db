"""Count the words of a text and show the most frequent ones."""

from wordtools.count import Count, count_words, words

__all__ = ["Count", "count_words", "words"]
