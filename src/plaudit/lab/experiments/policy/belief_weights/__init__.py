"""Do tokens that are half believed teach more than all tokens alike?"""
