"""The pure domain: no input or output, no wall clock, no framework."""
