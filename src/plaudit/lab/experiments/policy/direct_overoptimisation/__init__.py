"""Does direct alignment turn against the true reward, as reinforcement learning does?"""
