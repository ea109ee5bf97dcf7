"""Are prompts that are all right or all wrong better left out of the denominators?"""
