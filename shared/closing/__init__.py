"""Seals days and writes final results, whatever fails. Asks Kafka, reads the cache, writes DynamoDB and S3."""
