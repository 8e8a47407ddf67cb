"""Cameras and their images: lenses, encodings, gain, pairing, registration. Arrays only."""
