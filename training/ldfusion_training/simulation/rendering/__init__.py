"""A scene to the images of both cameras."""
