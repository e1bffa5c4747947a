"""Who may do what: keys, what each route asks of them, and what a bound key may access."""
