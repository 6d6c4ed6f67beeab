"""Blobs in a bucket of S3, or of a server that speaks its protocol. Why it is laid out like this: decision 0015.

    prefix/blobs/<algorithm>/<2 hex>/<hex>.<generation>          a blob that was small enough for one request
    prefix/blobs/<algorithm>/<2 hex>/<hex>.<generation>.<size>   empty: the bytes are under that generation in `large`
    prefix/large/<generation>                                    content that was uploaded in parts
    prefix/uploads/<id>/state                                    an unfinished upload: who holds it, where its bytes are
    prefix/uploads/<id>/tail.<random>                            its last bytes, fewer than make a part

A blob's storage key is its name below `blobs`. `bucket.py` alone speaks to boto3.
"""
