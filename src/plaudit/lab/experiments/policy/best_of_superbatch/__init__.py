"""Does a KL to the start keep fine-tuning on the best of its own from following a wrong reward?"""
