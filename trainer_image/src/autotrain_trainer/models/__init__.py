"""Networks that are more than a timm model: a backbone with a decoder or detector on it."""
