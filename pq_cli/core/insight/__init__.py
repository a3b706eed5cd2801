"""What can be told of a queue from its items and its log. Pure."""
