"""From a pair of images to a frame: the one way that node and offline programs go."""
