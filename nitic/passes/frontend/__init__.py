"""What options change in an imported network, before it is trained."""
