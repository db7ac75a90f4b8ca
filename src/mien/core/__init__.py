"""The values that travel through mien, and the way from a file to upright sRGB pixels; one place for every format.

May import: nothing of mien; numpy and Pillow at import time.
Start reading: `types.py` (a row), then `decode.py` (bytes → Picture) and `preprocess.py` (Picture → array).
"""
