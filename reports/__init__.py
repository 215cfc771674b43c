"""What a run came to, read from its records: leaderboard and report. Nothing here trains."""
