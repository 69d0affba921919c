"""SQS, Kafka and SNS as the service uses them. Knows no use case."""
