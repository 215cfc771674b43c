"""What may be tried: parameters, conditions, families, and the format of their inputs."""
