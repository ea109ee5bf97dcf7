"""Does the pre-trained model's choice of the next token make better targets for a Q function than the greatest Q?"""
