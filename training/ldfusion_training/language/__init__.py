"""What is in a scene, and the words for it: facts, captions of fixed form, free wordings."""
