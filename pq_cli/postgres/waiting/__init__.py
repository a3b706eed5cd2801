"""What items wait for, beside their turn and their time: others that must be done first."""
