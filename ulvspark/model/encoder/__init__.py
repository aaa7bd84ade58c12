"""From words to vectors: a BERT-like base, its tokenizer, and the engines that run it on CPU and GPU."""
