"""Loops that several emitters share: windows, tiles, broadcasts."""
