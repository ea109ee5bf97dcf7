"""Is a label from another wording of the question safer than the majority on its own?"""
