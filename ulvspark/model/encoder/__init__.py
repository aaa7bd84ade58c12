"""From words to vectors: the base encoder (a BERT), its tokenizer, and the engines that run it on CPU and GPU."""
