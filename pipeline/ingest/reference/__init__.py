"""Checkpoints of the official reference implementation of arXiv 2509.22319.

    [model]
    source = "reference:FOLDER"

`checkpoint` finds and reads the files, `configs` types the networks' settings, `keys` knows what
every tensor is called, `plan` says which model they amount to, `model` builds and fills it. The
format was learnt from descriptions: that implementation has no license, no code of it is here.
"""
