"""The parts of the page: handlers, and the player in HTML, CSS and JavaScript."""
