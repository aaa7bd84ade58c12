"""Where files go: folders that appear whole or not at all, a program's scratch folder, and S3."""
