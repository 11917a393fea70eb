"""The page of web/ for the tests that visit it."""

import pytest
import site_of_web


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The address of the static site, below a path."""
    folder = site_of_web.build(tmp_path_factory.mktemp("web") / "denoiser")
    server = site_of_web.serve(folder)
    yield site_of_web.address(server, folder)
    server.shutdown()


@pytest.fixture
def blank(browser, site):
    """A page of the site's origin without any of its scripts."""
    page = browser.new_context().new_page()
    page.route("**/blank.html", lambda route: route.fulfill(body="", content_type="text/html"))
    page.goto(site + "blank.html")
    yield page
    page.context.close()


@pytest.fixture
def live(browser, site, request):
    """The page in a fresh profile; what it asks of other servers, or sends, fails the test."""
    context = browser.new_context(service_workers="block", **getattr(request, "param", {}))
    page = context.new_page()
    asked = []
    page.on("request", lambda r: asked.append((r.method, r.url)))
    page.goto(site)
    page.locator("#live .start:not(:empty)").wait_for()
    yield page
    context.close()
    assert [(m, url) for m, url in asked if m != "GET" or not url.startswith(("blob:", site))] == []
