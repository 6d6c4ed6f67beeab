"""The pull-through cache: repositories whose content comes from another registry when somebody asks for it."""
