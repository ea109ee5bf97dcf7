"""Does a policy trained on outcomes rank answers as well as an explicit reward model trained on the same labels?"""
