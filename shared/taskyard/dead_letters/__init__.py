"""Dead letters: how one is made, which are meant, and what is shown of them."""
