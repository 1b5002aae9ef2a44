"""The far side of the ports."""
