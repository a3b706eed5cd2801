"""What lies on the disk: its places, how it is read, and the one file that writes."""
