"""Events: webhooks that are told what happens to images, how they are told, and when it is tried again."""
