"""What a mixture and a direction are told by eight pairs, beside the pairs of somebody of the other group."""
