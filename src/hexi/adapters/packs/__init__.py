"""Reads, checks, explains and scaffolds folders of scenarios."""
