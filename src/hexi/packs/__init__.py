"""Scenario packs, one folder each; they import ``hexi.pack`` and nothing else of ours."""
