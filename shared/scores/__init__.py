"""Score events that come over HTTP: checked, sent to the topic, followed until they show. Writes no truth itself."""
