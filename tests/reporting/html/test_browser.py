"""The page in a browser: it sorts, filters, opens categories, moves the threshold, fetches none."""

import pytest

from tests.reporting.html.browser import browser, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "there is a browser")


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.resize(1280, 900)
        yield opened


@pytest.fixture
def opened(window, page):
    window.leave()
    window.open(page, "#overview")
    yield window
    assert window.console() == []
    asked = [each for each in window.requests() if not each.startswith("data:")]
    assert asked == [page.as_uri()]


FIRST = "return document.querySelector('.rows tbody a').textContent"


def test_tables_sort_by_the_buttons_of_their_titles(opened):
    heads = "return [...document.querySelectorAll('#overview tbody')][0].innerText.split(/\\s+/)"
    opened.click("#overview table th:nth-child(2) button")
    found = opened.run(heads)
    assert found.index("<b>bold</b>") < found.index("third") < found.index("baseline")
    opened.click("#overview table th:nth-child(2) button")
    found = opened.run(heads)
    assert found.index("baseline") < found.index("third") < found.index("<b>bold</b>")
    sort = "return document.querySelector('#overview th:nth-child(2)').getAttribute('aria-sort')"
    assert opened.run(sort) == "ascending"


def test_categories_are_filtered_and_few_rows_are_drawn(opened):
    assert opened.run("return document.querySelectorAll('.rows tbody tr').length") < 60
    type_in(opened, "#categories input[type=search]", "собака")
    assert opened.run(FIRST) == "猫 & собака"
    assert opened.run("return document.querySelector('#categories [role=status]').textContent") == (
        "1 of 60 categories"
    )
    type_in(opened, "#categories input[type=search]", "")
    opened.click("#categories fieldset input")  # without the rare ones
    groups = "return [...document.querySelectorAll('.rows tbody .group')].map(e => e.textContent)"
    assert "rare" not in opened.run(groups)


def test_a_category_has_a_page_of_its_own(opened):
    opened.run("location.hash = '#category=1'")
    opened.until("return !document.getElementById('category-page').hidden")
    heading = "return document.querySelector('#category-page h2').textContent"
    assert opened.run(heading).startswith("</script><img")
    assert opened.run("return document.activeElement.tagName") == "H2"
    opened.until("return document.querySelectorAll('#category-page svg path').length")
    assert opened.run("return document.querySelectorAll('#category-page .strip img').length") > 0
    assert opened.run("return document.querySelector('#overview').hidden")
    opened.click("#category-page .turn a")
    opened.until("return document.getElementById('category-page').hidden")
    assert not opened.run("return document.querySelector('#overview').hidden")


def test_the_slider_moves_the_threshold_of_all_heads(opened):
    boxes = "return document.querySelectorAll('.panel:nth-child(2) .box').length"
    opened.run("document.querySelector('#pictures .panels').scrollIntoView()")
    opened.until(boxes)
    slider = "#pictures input[type=range]"
    set_to(opened, slider, 0)
    low = opened.run(boxes)
    set_to(opened, slider, 1)
    assert opened.run(boxes) == 0 < low
    mode = "return document.querySelector('#pictures select').value"
    assert opened.run(mode) == "1"  # one for all
    opened.run(f"document.querySelector('{slider}').focus()")
    opened.press("Left")
    assert opened.run(f"return Number(document.querySelector('{slider}').value)") < 1
    change = """
      const list = document.querySelector('#pictures select');
      list.value = arguments[0];
      list.dispatchEvent(new Event('change'));"""
    caption = "return document.querySelector('#pictures .panel:nth-child(2) figcaption').innerText"
    opened.run(change, "2")
    assert "from their categories' scores on" in opened.run(caption)
    opened.run(change, "0")
    assert "with score ≥" in opened.run(caption)


def test_labels_do_not_overlap(opened):
    opened.run("document.querySelector('#pictures .panels').scrollIntoView()")
    set_to(opened, "#pictures input[type=range]", 0)
    opened.until("return document.querySelectorAll('.plate').length > 8")
    overlaps = """
      return [...document.querySelectorAll('.frame svg')].map((svg) => {
        const plates = [...svg.querySelectorAll('.plate')];
        const all = plates.map((plate) => plate.getBoundingClientRect());
        return all.some((a, i) => all.some((b, j) => i < j && a.left < b.right - 0.5
          && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5));
      }).some(Boolean)"""
    assert not opened.run(overlaps)


def test_the_theme_is_a_switch_and_the_systems_by_default(opened, page):
    colour = "return getComputedStyle(document.body).backgroundColor"
    assert opened.run(colour) == "rgb(255, 255, 255)"
    opened.click("#theme")
    assert opened.run(colour) != "rgb(255, 255, 255)"
    opened.click("#theme")
    opened.run("localStorage.clear()")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    opened.command("Emulation.setEmulatedMedia", features=dark)
    opened.until(f"{colour} !== 'rgb(255, 255, 255)'")
    opened.command("Emulation.setEmulatedMedia", features=[])


def test_the_keyboard_reaches_everything_in_order(opened, page):
    opened.leave()
    opened.requests()
    opened.open(page)
    opened.settle()
    told = "return document.activeElement.textContent.trim()"
    opened.press("Tab")
    assert opened.run(told) == "Skip to the content"
    opened.press("Tab")
    assert opened.run(told) == "Dark"
    opened.press("Tab")
    assert opened.run("return document.activeElement.hash") == "#overview"
    opened.run("document.querySelector('#overview th button').focus()")
    opened.press("Enter")
    sort = "return document.querySelector('#overview th').getAttribute('aria-sort')"
    assert opened.run(sort) == "ascending"
    nameless = """
      return [...document.querySelectorAll('button, a, input, select, [role=img]')].filter((each) =>
        !(each.textContent.trim() || each.getAttribute('aria-label') || each.labels?.length
          || each.closest('label'))).map((each) => each.outerHTML)"""
    assert opened.run(nameless) == []


def test_a_narrow_window_scrolls_in_one_direction(opened):
    opened.resize(360, 800)
    wide = "return document.documentElement.scrollWidth <= innerWidth"
    assert opened.until(wide)
    opened.run("location.hash = '#category=3'")
    assert opened.until(wide)
    opened.resize(1280, 900)


def test_paper_has_all_categories(opened):
    opened.command("Emulation.setEmulatedMedia", media="print")
    opened.run("dispatchEvent(new Event('beforeprint'))")
    rows = "return document.querySelectorAll('.rows tbody tr:not(.gap)').length"
    assert opened.run(rows) == 60
    opened.settle()
    assert opened.run(rows) == 60
    opened.run("dispatchEvent(new Event('afterprint'))")
    opened.command("Emulation.setEmulatedMedia", media="")
    opened.until("return document.querySelectorAll('.rows tbody tr:not(.gap)').length < 60")


def test_nothing_moves_after_the_first_sight(window, page):
    watch = """
      window.moved = 0;
      new PerformanceObserver((list) => { for (const each of list.getEntries())
        window.moved += each.value; }).observe({ type: 'layout-shift', buffered: true });"""
    window.leave()
    window.open(page)
    window.run(watch)
    window.run("scrollTo(0, document.body.scrollHeight / 2)")
    window.until("return document.querySelectorAll('.box').length")
    assert window.run("return window.moved") < 0.02
    assert window.console() == []
    window.requests()


def type_in(window, selector, text):
    script = """
      const box = document.querySelector(arguments[0]);
      box.value = arguments[1];
      box.dispatchEvent(new Event('input'));"""
    window.run(script, selector, text)


set_to = type_in
