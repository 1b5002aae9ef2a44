"""Sans-I/O codecs, both directions."""
