"""Days are sealed and windows get final results, whatever fails meanwhile. Asks Kafka, writes DynamoDB and S3."""
