"""HTTP as the routes need it: bodies, filters, pages, problems, replies."""
