"""Do the chances of yes and no order videos better than the likelier of the two words?"""
