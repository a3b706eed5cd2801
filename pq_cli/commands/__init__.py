"""The commands, one file each: parse, one call below, emit."""
