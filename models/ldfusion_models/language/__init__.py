"""Images to words, words to numbers."""
