"""What counting words means."""

import unittest

from wordtools import Count, count_words, words


class Words(unittest.TestCase):
    def test_words_are_lower_case_and_in_order(self) -> None:
        self.assertEqual(list(words("The cat, the CAT!")), ["the", "cat", "the", "cat"])

    def test_an_apostrophe_inside_a_word_belongs_to_it(self) -> None:
        self.assertEqual(list(words("'Don’t' isn't 'quoted'")), ["don't", "isn't", "quoted"])

    def test_digits_are_no_words(self) -> None:
        self.assertEqual(list(words("42 is 7 times 6")), ["is", "times"])

    def test_words_of_any_alphabet_count(self) -> None:
        self.assertEqual(list(words("Größe, жизнь")), ["größe", "жизнь"])


class CountWords(unittest.TestCase):
    def test_the_most_frequent_word_comes_first(self) -> None:
        self.assertEqual(count_words("a b b"), [Count("b", 2), Count("a", 1)])

    def test_equally_frequent_words_stand_in_alphabetical_order(self) -> None:
        self.assertEqual(count_words("pear apple"), [Count("apple", 1), Count("pear", 1)])

    def test_an_empty_text_has_no_words(self) -> None:
        self.assertEqual(count_words(""), [])
