"""The queue without files, clock or terminal: items, order, policy."""
