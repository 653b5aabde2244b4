"""The contract of autotrain: the TrainingJob, and what operator, trainer and server hand to each other. pydantic only."""
