"""Does a bounded, centred reward keep what an unshaped one loses under pressure?"""
