"""Files in S3: there whole or not at all, with a manifest and links. Knows no leaderboard's rules."""
