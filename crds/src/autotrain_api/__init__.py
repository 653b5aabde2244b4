"""The contract of autotrain: the TrainingJob, and what operator, trainer and server hand each other. Only pydantic."""
