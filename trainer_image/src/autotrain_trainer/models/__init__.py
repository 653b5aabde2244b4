"""Networks of the tasks that need more than timm's classifiers."""
