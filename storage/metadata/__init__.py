"""Where facts live: repositories, tags, manifests, which blob is where. One file per noun, plain SQL in each."""
