"""The page that tells of an explained scan: what it says, the images of its viewer, and the HTML around them."""
