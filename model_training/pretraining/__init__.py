"""Teaching a base model the language of behaviour, without labels."""
