"""Creates, compares, updates and deletes whole stacks of `template.yaml` in a CloudFormation on this machine."""
