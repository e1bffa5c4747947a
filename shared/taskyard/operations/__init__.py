"""What an operator may do, a function each with its checks and its entry in the audit log, for all doors."""
