"""Reading older and foreign queues: what `pq migrate` imports.

`detect.choose` finds the reader for a folder, the reader turns files into `LegacyItem` and
`Reported` values, `order.Ordered` puts them into the order in which they get their ids, and
`files.open_payload` gives the bytes. Nothing in here writes to the source.
"""
