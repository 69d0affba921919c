"""The rules of the leaderboard: values in, values out. No I/O, no clock, no environment."""
