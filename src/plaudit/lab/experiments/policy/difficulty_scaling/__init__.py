"""Do advantages that are scaled by difficulty help the class of prompts that is rare?"""
