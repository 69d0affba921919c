"""What tests share: an oracle, scenes, stand-ins for AWS, and clients of the running stack."""
