"""Does one running deviation a task balance tasks whose rewards are of different scales?"""
