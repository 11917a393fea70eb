"""The web page: components, event handlers, endpoints, and parts in HTML, CSS and JavaScript."""
