"""Does the cosine reward keep lengths inside a window, and accuracy with them?"""
