"""The parts of judging signatures; `signing.validate` is the way in.

`reading` opens the file and holds its bytes against what the signature says it covers, `times` finds out when a
signature existed for certain, `chains` follows certificates to what is believed and looks for revocations, `evidence`
collects what the file itself brings for that, `levels` says what was proven, `qualification` what trusted lists say,
`sentences` puts it into words and `etsi` into the report of ETSI TS 119 102-2.
"""
