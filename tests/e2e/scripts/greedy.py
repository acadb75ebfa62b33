"""Takes more memory than it may have."""

kept = [bytearray(b"x" * (16 << 20)) for _ in range(64)]
