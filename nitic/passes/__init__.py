"""What all passes share: their form, and the invariants between stages."""
