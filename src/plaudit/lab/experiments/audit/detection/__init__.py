"""Does the audit name a planted fault, and leave healthy rewards alone?"""
