"""Faces in a picture: where they are, and what follows from that.

May import: core, runtime; third party: numpy and Pillow.
Start with `find.py` (a picture in, faces out).
"""
