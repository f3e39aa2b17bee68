"""Letters on paper: composing, checking, merging into batches and handing them to a print house.

A library beside the service: it imports nothing of ours, reads no setting and no clock. Measures are millimetres from
the top-left corner of A4 unless a name says points.
"""
