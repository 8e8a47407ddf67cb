"""What is found in labelled pairs: by a detector in what a fusion makes of them, by captions."""
