"""Do rows about confidence make a reward like it less where it is not deserved?"""
